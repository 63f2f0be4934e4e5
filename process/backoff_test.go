package process

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func delays(b *Backoff, n int) []time.Duration {
	var got []time.Duration
	for range n {
		got = append(got, b.Next())
	}
	return got
}

// TestL4_3_Delays: the sequences that L4.3 names.
func TestL4_3_Delays(t *testing.T) {
	s := time.Second
	require.Equal(t, []time.Duration{2 * s, 4 * s, 8 * s, 10 * s, 10 * s}, delays(&Backoff{Min: 2 * s, Max: 10 * s}, 5))

	b := &Backoff{Min: s, Max: 3600 * s}
	got := delays(b, 14)
	require.Equal(t, []time.Duration{s, 2 * s, 4 * s}, got[:3])
	require.Equal(t, []time.Duration{2048 * s, 3600 * s, 3600 * s}, got[11:])
	require.Equal(t, 3600*s, b.Last())
	b.Reset()
	require.Zero(t, b.Last())
	require.Equal(t, s, b.Next())

	require.Equal(t, []time.Duration{s, s}, delays(&Backoff{Min: s, Max: s}, 2))
	require.Equal(t, []time.Duration{0, 0}, delays(&Backoff{}, 2))
}

func TestBackoff_Jitter(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 900 * time.Millisecond, 0.5: time.Second, 0.999999: 1100 * time.Millisecond} {
		b := &Backoff{Min: time.Second, Max: time.Minute, Jitter: 0.1, Random: func() float64 { return random }}
		require.InDelta(t, want, b.Next(), float64(time.Millisecond))
		require.InDelta(t, 2*want, b.Next(), float64(time.Millisecond), "jitter does not add up")
		require.Equal(t, 2*time.Second, b.Last())
	}
	b := &Backoff{Min: time.Second, Max: time.Minute, Jitter: 0.1}
	require.InDelta(t, time.Second, b.Next(), float64(100*time.Millisecond))
}
