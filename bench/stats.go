package main

import (
	"slices"
	"time"
)

// figures is what one round, or the median of several, comes to. Durations are
// per round trip; in JSON they are nanoseconds.
type figures struct {
	P50  time.Duration `json:"p50_ns"`
	Mean time.Duration `json:"mean_ns"`
	P99  time.Duration `json:"p99_ns"`
	CPU  time.Duration `json:"cpu_ns"` // of both processes; 0 where it cannot be known
}

// summarize turns the times of single round trips, which it sorts, and the CPU
// time of them all into figures.
func summarize(times []time.Duration, cpu time.Duration) figures {
	slices.Sort(times)
	var total time.Duration
	for _, t := range times {
		total += t
	}
	n := time.Duration(len(times))
	return figures{P50: quantile(times, 0.50), Mean: total / n, P99: quantile(times, 0.99), CPU: cpu / n}
}

// quantile returns the smallest of the sorted times that a share q of them does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	rank := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// ratios is how many times the floor's figures another's are.
type ratios struct {
	P50  float64 `json:"p50"`
	Mean float64 `json:"mean"`
	P99  float64 `json:"p99"`
	CPU  float64 `json:"cpu"`
}

func ratiosOf(f, floor figures) ratios {
	over := func(a, b time.Duration) float64 {
		if b == 0 {
			return 0
		}
		return float64(a) / float64(b)
	}
	return ratios{over(f.P50, floor.P50), over(f.Mean, floor.Mean), over(f.P99, floor.P99), over(f.CPU, floor.CPU)}
}

// medianFigures takes the median of each figure by itself.
func medianFigures(rounds []figures) figures {
	return figures{
		P50:  medianOf(rounds, func(f figures) time.Duration { return f.P50 }),
		Mean: medianOf(rounds, func(f figures) time.Duration { return f.Mean }),
		P99:  medianOf(rounds, func(f figures) time.Duration { return f.P99 }),
		CPU:  medianOf(rounds, func(f figures) time.Duration { return f.CPU }),
	}
}

func medianRatios(rounds []ratios) ratios {
	return ratios{
		P50:  medianOf(rounds, func(r ratios) float64 { return r.P50 }),
		Mean: medianOf(rounds, func(r ratios) float64 { return r.Mean }),
		P99:  medianOf(rounds, func(r ratios) float64 { return r.P99 }),
		CPU:  medianOf(rounds, func(r ratios) float64 { return r.CPU }),
	}
}

// medianOf returns the median of one field; of an even number, the mean of the two in the middle.
func medianOf[T any, N time.Duration | float64](rounds []T, field func(T) N) N {
	values := make([]N, 0, len(rounds))
	for _, r := range rounds {
		values = append(values, field(r))
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
