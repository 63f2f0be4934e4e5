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
		require.True(t, r.bootFailed(now, launched, errors.New("boot"), false))
		r.judge(false)
		require.Equal(t, delay, r.waits(now))
		require.Equal(t, i == 2, r.hopeless(now))
		now += delay
		require.Zero(t, r.waits(now))
		require.False(t, r.hopeless(now), "when the delay is over, there is hope")
	}
	require.True(t, r.looping, "but the loop goes on until a worker is ready")
	r.created()
	require.False(t, r.looping)
	r.bootFailed(now, now, errors.New("boot"), false)
	r.judge(false)
	require.Equal(t, 8*time.Second, r.waits(now), "being ready is no proof of health")
	require.False(t, r.hopeless(now), "but the row is broken")
}

func TestRestarts_FatalIsHopelessAtOnce(t *testing.T) {
	r := newRestarts()
	r.bootFailed(1, 0, errors.New("no such program"), true)
	r.judge(true)
	require.False(t, r.hopeless(1), "not while another worker lives")
	r.judge(false)
	require.True(t, r.hopeless(1))
	require.EqualError(t, r.last, "no such program")

	now := 1 + time.Second
	r.bootFailed(now, now, errors.New("too many open files"), false)
	r.judge(false)
	require.True(t, r.hopeless(now), "a loop goes on, whatever the next failure is")
	r.proved()
	require.False(t, r.hopeless(now))
}

func TestRestarts_StartsOfOneRoundGrowTheDelayOnce(t *testing.T) {
	r := newRestarts()
	for i := range time.Duration(4) {
		require.Equal(t, i == 0, r.bootFailed(10+i, 5, errors.New("boot"), false))
	}
	require.Equal(t, 1, r.delays)
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
