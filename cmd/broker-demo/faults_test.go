package main

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/testworkers/hostile/modes"
)

// draw returns the first n faults of a seed.
func draw(seed uint64, n int) []fault {
	s := newFaults(seed)
	drawn := make([]fault, n)
	for i := range drawn {
		drawn[i] = s.next()
	}
	return drawn
}

func TestFaultsDependOnTheSeedAlone(t *testing.T) {
	const n = 1000
	first := draw(7, n)
	require.Equal(t, first, draw(7, n))
	require.NotEqual(t, first, draw(8, n))
	require.NotEqual(t, draw(0, n), draw(1, n))
	waits := map[time.Duration]bool{}
	for _, f := range first {
		waits[f.wait] = true
	}
	require.Greater(t, len(waits), n/2)
}

func TestEachRoundOfFaultsHasAllKinds(t *testing.T) {
	want := map[string]int{}
	maps.Copy(want, perRound)
	for _, mode := range modes.Names() {
		want[mode] = 1
	}
	round := len(newRound())
	for drawn := range slices.Chunk(draw(3, 3*round), round) {
		got := map[string]int{}
		for _, f := range drawn {
			got[f.kind]++
		}
		require.Equal(t, want, got)
	}
}

func TestFaultsKeepTheirBounds(t *testing.T) {
	left, beside := 0, map[int]bool{}
	for _, f := range draw(5, 2000) {
		require.GreaterOrEqual(t, f.wait, shortestWait)
		require.Less(t, f.wait, longestWait)
		require.GreaterOrEqual(t, f.hold, shortestHold)
		require.Less(t, f.hold, longestHold)
		require.GreaterOrEqual(t, f.leave, time.Duration(0))
		require.Less(t, f.leave, longestLeave)
		require.GreaterOrEqual(t, f.pick, 0)
		beside[f.beside] = true
		if f.leave > 0 {
			left++
		}
		for _, workers := range []int{1, 4, 256} {
			least, most := f.size(workers)
			require.True(t, 0 <= least && least <= most && 1 <= most && most <= workers, "%d to %d of %d", least, most, workers)
		}
	}
	require.InDelta(t, 2000/(stayers+1), left, 100)
	require.Len(t, beside, mostBeside+1)
}

// What is drawn fast enough for a minute is what a minute of chaos needs: 200 faults.
func TestAMinuteHasEnoughFaults(t *testing.T) {
	var sum time.Duration
	for _, f := range draw(1, 400) {
		sum += f.wait
	}
	require.Less(t, sum, 30*time.Second)
}

func TestItIsKnownHowEachHostileModeEnds(t *testing.T) {
	require.Equal(t, modes.Names(), slices.Sorted(maps.Keys(modeEnds)))
	for mode := range modeEnds {
		require.False(t, fault{kind: mode}.againstCrew(), mode)
	}
}

func TestFaultCounts(t *testing.T) {
	var c faultCounts
	require.Equal(t, "survived 0 faults", c.status())
	for _, kind := range []string{faultKill, faultTerm, faultFreeze, "garbage", "deaf", "deaf"} {
		c.throw(kind)
	}
	require.Equal(t, "survived 0/6 faults, kills 0/2, freezes 0/1, hostile 0/3", c.status())
	for _, kind := range []string{faultKill, faultTerm, "garbage", "deaf"} {
		c.survive(kind)
	}
	require.Equal(t, "survived 4/6 faults, kills 2, freezes 0/1, hostile 2/3", c.status())
	thrown, survived := c.counts()
	require.Equal(t, map[string]int64{faultKill: 1, faultTerm: 1, faultFreeze: 1, "garbage": 1, "deaf": 2}, thrown)
	require.Equal(t, map[string]int64{faultKill: 1, faultTerm: 1, "garbage": 1, "deaf": 1}, survived)
}
