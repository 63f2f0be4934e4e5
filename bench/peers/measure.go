package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/bench/internal/report"
)

// measure has each contender do the workload once a round, there and back (A B C, C B A), so that whatever else the machine does meanwhile,
// and whoever went before, falls on all alike.
func measure(w workload, among []contender, rounds int, length time.Duration) (results []report.Result, err error) {
	var running []*session
	defer func() {
		for _, s := range running {
			err = errors.Join(err, s.close())
		}
	}()
	for _, c := range among {
		s, err := c.start(w)
		if err != nil {
			return nil, fmt.Errorf("%s: start: %w", c.name, err)
		}
		running = append(running, s)
		results = append(results, report.Result{Workload: w.String(), Contender: c.name})
	}
	meters := make([]*meter, len(running))
	for i, s := range running {
		meters[i] = newMeter(w, s)
		if _, err := meters[i].run(0); err != nil { // one call each: the answers are proven, the workers run
			return nil, fmt.Errorf("%s: %w", among[i].name, err)
		}
	}
	for n := range rounds {
		for i := range meters {
			if n%2 == 1 {
				i = len(meters) - 1 - i
			}
			f, err := meters[i].round(length)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", among[i].name, err)
			}
			results[i].Rounds = append(results[i].Rounds, f)
		}
	}
	conclude(results)
	if floor := len(meters[0].calls); floor != w.Callers {
		for i := 1; i < len(results); i++ { // who waits for a worker cannot be compared with who does not
			r := &results[i].Ratio
			r.P50, r.Mean, r.P99 = 0, 0, 0
		}
	}
	return results, nil
}

// conclude fills in the medians. The first result is the floor's.
func conclude(results []report.Result) {
	for i := range results {
		results[i].Median, results[i].Ratio = gauge.Conclude(results[i].Rounds, results[0].Rounds)
	}
}

// meter measures one session.
type meter struct {
	session *session
	calls   []func(context.Context) error
	times   [][]time.Duration // by caller
	all     []time.Duration
}

func newMeter(w workload, s *session) *meter {
	callers := w.Callers
	if s.callers != 0 {
		callers = s.callers
	}
	m := &meter{session: s, times: make([][]time.Duration, callers)}
	if s.host != nil {
		return m
	}
	for i := range callers {
		m.calls = append(m.calls, s.caller(i))
	}
	return m
}

// warmup is the share of a round that is spent before it, unmeasured.
const warmup = 10 // one in so many

func (m *meter) round(length time.Duration) (gauge.Figures, error) {
	runtime.GC() // nobody pays for another's garbage
	if _, err := m.run(length / warmup); err != nil {
		return gauge.Figures{}, err
	}
	before, err := m.cpu()
	if err != nil {
		return gauge.Figures{}, err
	}
	took, err := m.run(length)
	if err != nil {
		return gauge.Figures{}, err
	}
	after, err := m.cpu()
	if err != nil {
		return gauge.Figures{}, err
	}
	if err := m.collect(); err != nil {
		return gauge.Figures{}, err
	}
	f := gauge.Summarize(m.all, after-before)
	f.Rate = float64(len(m.all)) / took.Seconds()
	return f, nil
}

// collect brings the times of the last run together.
func (m *meter) collect() (err error) {
	if h := m.session.host; h != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		m.all, err = h.times(ctx)
		return err
	}
	m.all = m.all[:0]
	for _, t := range m.times {
		m.all = append(m.all, t...)
	}
	return nil
}

// run has every caller call until the time is over, at least once, and returns how long it took until the last had its answer.
func (m *meter) run(length time.Duration) (time.Duration, error) {
	// The context can be canceled, as that of any real caller can: one that cannot would spare the work of being ready for it.
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stuck := time.AfterFunc(length+patience, func() {
		cancel(errStuck)
		_ = m.session.kill() // for those that know no context
	})
	defer stuck.Stop()
	if m.session.host != nil {
		return m.session.host.round(ctx, length)
	}
	var callers sync.WaitGroup
	begin := time.Now()
	for i, call := range m.calls {
		// Ends with the time, or the first error of any caller.
		callers.Go(func() {
			times := m.times[i][:0]
			for last := begin; last.Sub(begin) < length || last.Equal(begin); {
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
			m.times[i] = times
		})
	}
	callers.Wait()
	return time.Since(begin), context.Cause(ctx)
}

var errStuck = errors.New("no answer for so long that the workers were killed")

// cpu returns the CPU time that host and workers have used.
func (m *meter) cpu() (time.Duration, error) {
	caller := os.Getpid()
	if m.session.host != nil {
		caller = m.session.host.pid()
	}
	total, err := gauge.CPUTime(caller)
	for _, pid := range m.session.pids() {
		t, e := gauge.CPUTime(pid)
		total += t
		err = errors.Join(err, e)
	}
	return total, err
}
