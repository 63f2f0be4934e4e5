package pool

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func noJitter() float64 { return 0.5 }

func delays(b *backoff, n int) []time.Duration {
	var got []time.Duration
	for range n {
		got = append(got, b.next())
	}
	return got
}

// TestL4_3_Delays: the sequences that L4.3 names.
func TestL4_3_Delays(t *testing.T) {
	s := time.Second
	require.Equal(t, []time.Duration{2 * s, 4 * s, 8 * s, 10 * s, 10 * s}, delays(&backoff{min: 2 * s, max: 10 * s, random: noJitter}, 5))

	b := &backoff{min: s, max: 3600 * s, random: noJitter}
	got := delays(b, 14)
	require.Equal(t, []time.Duration{s, 2 * s, 4 * s}, got[:3])
	require.Equal(t, []time.Duration{2048 * s, 3600 * s, 3600 * s}, got[11:])
	b.reset()
	require.Equal(t, s, b.next())

	require.Equal(t, []time.Duration{s, s}, delays(&backoff{min: s, max: s, random: noJitter}, 2))
}

func TestBackoff_Jitter(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 900 * time.Millisecond, 0.5: time.Second, 0.999999: 1100 * time.Millisecond} {
		b := &backoff{min: time.Second, max: time.Minute, random: func() float64 { return random }}
		require.InDelta(t, want, b.next(), float64(time.Millisecond))
		require.InDelta(t, 2*want, b.next(), float64(time.Millisecond), "jitter does not add up")
	}
}

func newRestarts() *restarts {
	return &restarts{backoff: backoff{min: time.Second, max: time.Minute, random: noJitter}}
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
