package main

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
)

// warmup is the share of a round that is spent before it, unmeasured.
const warmup = 10 // one in so many

// closedLoop has callers that each make one call after the other.
type closedLoop struct {
	callers []call
	pids    func() []int      // of the workers
	times   [][]time.Duration // by caller
	all     []time.Duration
}

func newClosedLoop(pids func() []int, callers ...call) *closedLoop {
	return &closedLoop{callers: callers, pids: pids, times: make([][]time.Duration, len(callers))}
}

// round measures for so long, after a collection of garbage: nobody pays for another's.
func (l *closedLoop) round(length time.Duration) (gauge.Figures, error) {
	runtime.GC()
	if _, err := l.run(length / warmup); err != nil {
		return gauge.Figures{}, err
	}
	pids := l.pids()
	before, err := cpu(pids)
	if err != nil {
		return gauge.Figures{}, err
	}
	took, err := l.run(length)
	if err != nil {
		return gauge.Figures{}, err
	}
	after, err := cpu(pids)
	if err != nil {
		return gauge.Figures{}, err
	}
	l.all = l.all[:0]
	for _, t := range l.times {
		l.all = append(l.all, t...)
	}
	f := gauge.Summarize(l.all, after-before)
	f.Rate = float64(len(l.all)) / took.Seconds()
	return f, nil
}

var errStuck = errors.New("no answer for so long that it was given up")

// run has every caller call until the time is over, at least once, and returns how long it took until the last had its answer.
func (l *closedLoop) run(length time.Duration) (time.Duration, error) {
	// The context can be canceled, as that of any real caller can.
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stuck := time.AfterFunc(length+patience, func() { cancel(errStuck) })
	defer stuck.Stop()
	var callers sync.WaitGroup
	begin := time.Now()
	for i, call := range l.callers {
		// Ends with the time, or the first error of any caller.
		callers.Go(func() {
			times := l.times[i][:0]
			for last := begin; last.Sub(begin) < length || len(times) == 0; {
				start := time.Now()
				if err := call(ctx); err != nil {
					cancel(err)
				}
				if ctx.Err() != nil {
					break
				}
				last = time.Now()
				times = append(times, last.Sub(start))
			}
			l.times[i] = times
		})
	}
	callers.Wait()
	return time.Since(begin), context.Cause(ctx)
}

// inTurns measures two loops so many times, each first in every second round, so that what drifts falls on both alike.
func inTurns(rounds int, a, b func() (gauge.Figures, error)) (as, bs []gauge.Figures, err error) {
	for i := range rounds {
		turns := []func() error{
			func() error { return keep(&as, a) },
			func() error { return keep(&bs, b) },
		}
		if i%2 == 1 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return nil, nil, err
			}
		}
	}
	return as, bs, nil
}

func keep(all *[]gauge.Figures, measure func() (gauge.Figures, error)) error {
	f, err := measure()
	*all = append(*all, f)
	return err
}
