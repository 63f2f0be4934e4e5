package gauge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSummarize(t *testing.T) {
	var times []time.Duration
	for i := 100; i >= 1; i-- {
		times = append(times, time.Duration(i))
	}
	require.Equal(t, Figures{P50: 50, Mean: 50, P99: 99, CPU: 7}, Summarize(times, 700))
	require.Equal(t, Figures{P50: 5, Mean: 5, P99: 5, CPU: 0}, Summarize([]time.Duration{5}, 0))
	require.Equal(t, Figures{P50: 1, Mean: 2, P99: 3}, Summarize([]time.Duration{3, 1}, 0))
}

func TestMediansAreTakenRoundByRound(t *testing.T) {
	floor := []Figures{{P50: 10, Mean: 10, P99: 10, CPU: 0}, {P50: 20, Mean: 20, P99: 20}, {P50: 10, Mean: 10, P99: 10}}
	median, ratio := Conclude([]Figures{{P50: 20, Mean: 30, P99: 10}, {P50: 20, Mean: 20, P99: 20}, {P50: 30, Mean: 50, P99: 5}}, floor)
	require.Equal(t, Figures{P50: 20, Mean: 30, P99: 10}, median)
	require.Equal(t, Ratios{P50: 2, Mean: 3, P99: 1, CPU: 0}, ratio)
}

func TestMedianOfAnEvenNumber(t *testing.T) {
	identity := func(f float64) float64 { return f }
	require.Equal(t, 2.5, MedianOf([]float64{4, 1, 2, 3}, identity))
	require.Equal(t, 7.0, MedianOf([]float64{7}, identity))
}
