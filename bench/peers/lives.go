package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/bench/internal/report"
)

// Names of what is measured beside the workloads, always together.
const (
	starts     = "start"    // from nothing to the first answer
	recoveries = "recovery" // from SIGKILL of the idle worker to the next answer
)

// livesInRound is how many workers each contender starts and loses in a round.
const livesInRound = 3

// measureLives has the contenders start and lose workers in turns. Who does not replace a dead worker by itself is started again as soon as
// a call has failed, which is the least that an application has to do.
func measureLives(among []contender, rounds int) ([]report.Result, error) {
	results := make([]report.Result, 2*len(among))
	for i, c := range among {
		results[i] = report.Result{Workload: starts, Contender: c.name}
		results[len(among)+i] = report.Result{Workload: recoveries, Contender: c.name}
	}
	for range rounds {
		for i, c := range among {
			var started, recovered []time.Duration
			for range livesInRound {
				start, recovery, err := life(c)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", c.name, err)
				}
				started, recovered = append(started, start), append(recovered, recovery)
			}
			for _, r := range []struct {
				at    int
				times []time.Duration
			}{{i, started}, {len(among) + i, recovered}} {
				results[r.at].Rounds = append(results[r.at].Rounds, gauge.Summarize(r.times, 0))
			}
		}
	}
	conclude(results[:len(among)])
	conclude(results[len(among):])
	return results, nil
}

// life starts a worker, kills it, and has the next one answer.
func life(c contender) (start, recovery time.Duration, err error) {
	if c.life != nil {
		return c.life()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	s, err := c.start(lone)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	call := s.caller(0)
	if err := call(ctx); err != nil {
		return 0, 0, err
	}
	start = time.Since(began)
	first := s.pids()
	time.Sleep(settle)
	began = time.Now()
	if err := s.kill(); err != nil {
		return 0, 0, err
	}
	next := s
	for call(ctx) != nil {
		if ctx.Err() != nil {
			return 0, 0, fmt.Errorf("recovery: %w", ctx.Err())
		}
		if c.heals {
			continue
		}
		if next != s {
			return 0, 0, errors.New("recovery: the second worker does not answer either")
		}
		if next, err = c.start(lone); err != nil {
			return 0, 0, err
		}
		call = next.caller(0)
	}
	recovery = time.Since(began)
	if slices.Equal(first, next.pids()) {
		err = errors.New("recovery: the worker that was killed has answered")
	}
	if next != s {
		err = errors.Join(err, next.close())
	}
	return start, recovery, err
}

// settle is how long a worker is left alone before it is killed, so that it waits for input as idle ones do.
const settle = 3 * time.Millisecond
