package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
)

// contender is one way to make a round trip to a child process.
type contender interface {
	name() string
	pid() int // of the child, once a round trip has been made
	roundTrip() error
	close() error
}

// contenders starts them; the first is the floor.
var contenders = []func(size int) (contender, error){newPing, newCaller}

// result is a contender's figures in one placement.
type result struct {
	Placement string          `json:"placement"`
	Name      string          `json:"name"`
	Median    gauge.Figures   `json:"median"` // over the rounds
	Ratio     gauge.Ratios    `json:"ratio"`  // median of each round's ratio to the floor
	Rounds    []gauge.Figures `json:"rounds"`
}

// measure makes the rounds: each contender once a round, so that whatever else
// the machine does meanwhile falls on all alike.
func measure(s settings) (results []result, err error) {
	var running []contender
	defer func() {
		for _, c := range running {
			err = errors.Join(err, c.close())
		}
	}()
	for _, start := range contenders {
		c, err := start(s.size)
		if err != nil {
			return nil, err
		}
		running = append(running, c)
		results = append(results, result{Placement: s.placement, Name: c.name()})
	}
	times := make([]time.Duration, s.calls)
	for range s.rounds {
		for i, c := range running {
			f, err := round(c, times)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name(), err)
			}
			results[i].Rounds = append(results[i].Rounds, f)
		}
	}
	for i := range results {
		results[i].Median, results[i].Ratio = gauge.Conclude(results[i].Rounds, results[0].Rounds)
	}
	return results, nil
}

// round makes len(times) round trips and fills times with what each took.
func round(c contender, times []time.Duration) (gauge.Figures, error) {
	for range len(times)/gauge.Warmup + 1 {
		if err := c.roundTrip(); err != nil {
			return gauge.Figures{}, err
		}
	}
	before, err := cpuOfBoth(c)
	if err != nil {
		return gauge.Figures{}, err
	}
	for i := range times {
		start := time.Now()
		if err := c.roundTrip(); err != nil {
			return gauge.Figures{}, err
		}
		times[i] = time.Since(start)
	}
	after, err := cpuOfBoth(c)
	if err != nil {
		return gauge.Figures{}, err
	}
	return gauge.Summarize(times, after-before), nil
}

func cpuOfBoth(c contender) (time.Duration, error) { return gauge.CPUTime(os.Getpid(), c.pid()) }
