package gauge

import (
	"slices"
	"time"
)

// Figures is what one round, or the median of several, comes to. Durations are
// per round trip; in JSON they are nanoseconds.
type Figures struct {
	P50  time.Duration `json:"p50_ns"`
	Mean time.Duration `json:"mean_ns"`
	P99  time.Duration `json:"p99_ns"`
	CPU  time.Duration `json:"cpu_ns"`                // of both processes; 0 where it cannot be known
	Rate float64       `json:"calls_per_s,omitempty"` // of all callers together; 0 where it was not counted
}

// Summarize turns the times of single round trips, which it sorts, and the CPU
// time of them all into figures.
func Summarize(times []time.Duration, cpu time.Duration) Figures {
	slices.Sort(times)
	var total time.Duration
	for _, t := range times {
		total += t
	}
	n := time.Duration(len(times))
	return Figures{P50: quantile(times, 0.50), Mean: total / n, P99: quantile(times, 0.99), CPU: cpu / n}
}

// quantile returns the smallest of the sorted times that a share q of them does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	rank := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Ratios is how many times the floor's figures another's are. 0 is unknown.
type Ratios struct {
	P50  float64 `json:"p50"`
	Mean float64 `json:"mean"`
	P99  float64 `json:"p99"`
	CPU  float64 `json:"cpu"`
	Rate float64 `json:"calls_per_s,omitempty"`
}

// RatiosOf compares one round with the floor's.
func RatiosOf(f, floor Figures) Ratios {
	return Ratios{over(f.P50, floor.P50), over(f.Mean, floor.Mean), over(f.P99, floor.P99), over(f.CPU, floor.CPU), over(f.Rate, floor.Rate)}
}

func over[N time.Duration | float64](a, b N) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// Conclude returns the medians over the rounds, and those of each round's
// ratios to the floor's round of the same number.
func Conclude(rounds, floor []Figures) (Figures, Ratios) {
	perRound := make([]Ratios, min(len(rounds), len(floor)))
	for i := range perRound {
		perRound[i] = RatiosOf(rounds[i], floor[i])
	}
	return medianFigures(rounds), medianRatios(perRound)
}

// medianFigures takes the median of each figure by itself.
func medianFigures(rounds []Figures) Figures {
	return Figures{
		P50:  MedianOf(rounds, func(f Figures) time.Duration { return f.P50 }),
		Mean: MedianOf(rounds, func(f Figures) time.Duration { return f.Mean }),
		P99:  MedianOf(rounds, func(f Figures) time.Duration { return f.P99 }),
		CPU:  MedianOf(rounds, func(f Figures) time.Duration { return f.CPU }),
		Rate: MedianOf(rounds, func(f Figures) float64 { return f.Rate }),
	}
}

func medianRatios(rounds []Ratios) Ratios {
	return Ratios{
		P50:  MedianOf(rounds, func(r Ratios) float64 { return r.P50 }),
		Mean: MedianOf(rounds, func(r Ratios) float64 { return r.Mean }),
		P99:  MedianOf(rounds, func(r Ratios) float64 { return r.P99 }),
		CPU:  MedianOf(rounds, func(r Ratios) float64 { return r.CPU }),
		Rate: MedianOf(rounds, func(r Ratios) float64 { return r.Rate }),
	}
}

// MedianOf returns the median of one field; of an even number, the mean of the two in the middle; of none, 0.
func MedianOf[T any, N time.Duration | float64](rounds []T, field func(T) N) N {
	values := make([]N, 0, len(rounds))
	for _, r := range rounds {
		values = append(values, field(r))
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
