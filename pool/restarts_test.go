package pool

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

func noJitter() float64 { return 0.5 }

func newRestarts() *restarts {
	return &restarts{backoff: process.Backoff{Min: time.Second, Max: time.Minute, Jitter: jitter, Random: noJitter}}
}

func TestRestarts_HopelessAfterThreeBootFailuresInARow(t *testing.T) {
	r := newRestarts()
	now := time.Duration(0)
	for i, delay := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		launched := now
		now += time.Millisecond
		r.bootFailed(now, launched, errors.New("boot"), false)
		require.Equal(t, delay, r.waits(now))
		require.Equal(t, i == 2, r.hopeless(now))
		now += delay
		require.Zero(t, r.waits(now))
		require.False(t, r.hopeless(now), "when the delay is over, there is hope")
	}
	r.created()
	r.bootFailed(now, now, errors.New("boot"), false)
	require.Equal(t, 8*time.Second, r.waits(now), "being ready is no proof of health")
	require.False(t, r.hopeless(now), "but the row is broken")
}

func TestRestarts_FatalIsHopelessAtOnce(t *testing.T) {
	r := newRestarts()
	r.bootFailed(1, 0, errors.New("no such program"), true)
	require.True(t, r.hopeless(1))
	require.EqualError(t, r.last, "no such program")
}

func TestRestarts_StartsOfOneRoundGrowTheDelayOnce(t *testing.T) {
	r := newRestarts()
	for i := range time.Duration(4) {
		r.bootFailed(10+i, 5, errors.New("boot"), false)
	}
	require.Equal(t, 4, r.failures)
	require.Equal(t, 10+time.Second, r.until)
	now := r.until
	r.bootFailed(now, now, errors.New("boot"), false)
	require.Equal(t, 2*time.Second, r.waits(now))
}

// TestP24_ProofOfHealthResetsTheDelay, nothing else does.
func TestP24_ProofOfHealthResetsTheDelay(t *testing.T) {
	r := newRestarts()
	r.died(0, 0, false)
	require.Equal(t, time.Second, r.waits(0))
	r.created()
	now := 5 * time.Second
	r.died(now, 2*time.Second, false)
	require.Equal(t, 2*time.Second, r.waits(now), "ready for a while and never of use: the delay doubles")
	r.died(now, now, true)
	require.Zero(t, r.waits(now), "a healthy one is replaced at once")
	r.died(now, now, false)
	require.Equal(t, time.Second, r.waits(now), "and the delays begin anew")
}
