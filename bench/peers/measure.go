package main

import (
	"errors"
	"fmt"
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
	loads := make([]gauge.Load, len(running))
	for i, s := range running {
		loads[i] = s.load(w)
		if _, err := loads[i].Run(0); err != nil { // one call each: the answers are proven, the workers run
			return nil, fmt.Errorf("%s: %w", among[i].name, err)
		}
	}
	for n := range rounds {
		for i := range loads {
			if n%2 == 1 {
				i = len(loads) - 1 - i
			}
			f, err := gauge.Round(loads[i], length)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", among[i].name, err)
			}
			results[i].Rounds = append(results[i].Rounds, f)
		}
	}
	conclude(results)
	if floor := running[0].callers; floor != 0 && floor != w.Callers {
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
