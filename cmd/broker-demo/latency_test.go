package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLatenciesOfAllCallers(t *testing.T) {
	const callers = 2*maxHistograms + 1
	l := newLatencies(callers)
	require.Len(t, l.shares, maxHistograms)
	for i := range 1000 {
		l.record(i%callers, time.Duration(i+1)*time.Microsecond)
	}
	h := l.total()
	require.EqualValues(t, 1000, h.TotalCount())
	within := func(want time.Duration, got int64) { require.InEpsilon(t, float64(want), float64(got), 0.001) }
	within(500*time.Microsecond, h.ValueAtPercentile(50))
	within(990*time.Microsecond, h.ValueAtPercentile(99))
	within(time.Millisecond, h.Max())
	require.InEpsilon(t, 500.5e3, h.Mean(), 0.001)
}

func TestLatenciesOutOfRangeCount(t *testing.T) {
	l := newLatencies(1)
	l.record(0, -time.Second)
	l.record(0, 3*longestLatency)
	h := l.total()
	require.EqualValues(t, 2, h.TotalCount())
	require.InEpsilon(t, float64(longestLatency), float64(h.Max()), 0.001)
}
