package rpc

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// brisk is what is known of handlers that have been quick so far.
func brisk() inlining { return inlining{pause: time.Nanosecond} }

// after is so many calls of that length, one behind the other, and says for how long handlers then have goroutines of their own.
func (i *inlining) after(calls int, each time.Duration) (pause time.Duration) {
	i.since = max(i.since, i.until)
	for range calls {
		if i.took(i.since + each); i.since < i.until {
			return i.until - i.since
		}
	}
	return 0
}

func TestInlining_QuickCallsGoOn(t *testing.T) {
	i := brisk()
	require.Zero(t, i.after(1_000_000, inlineTime))
	require.Zero(t, i.excess)
}

// Calls that are a little too long use up the credit together, and it comes back with those that are shorter.
func TestInlining_SlowCallsAddUp(t *testing.T) {
	i := brisk()
	require.Zero(t, i.after(20, inlineTime+10*time.Microsecond))
	require.Zero(t, i.after(100, inlineTime/2))
	require.Zero(t, i.after(10, inlineTime+10*time.Microsecond))
	require.Equal(t, inlinePause*(inlineCredit+10*time.Microsecond), i.after(1, inlineTime+10*time.Microsecond))
	require.Zero(t, i.excess, "what was is forgotten")
}

// Of a call that takes very long it is not known whether that was the handler.
func TestInlining_OneLongCallIsForgiven(t *testing.T) {
	i := brisk()
	for range 100 {
		require.Zero(t, i.after(1, 3*time.Millisecond))
		require.Zero(t, i.after(100, inlineTime/2))
	}
	require.Zero(t, i.after(2, time.Millisecond))
	require.NotZero(t, i.after(1, time.Millisecond), "three of them are")
}

// A pause is a hundred times as long as what was lost, and longer each time, up to a bound, unless all went well for long.
func TestInlining_Pauses(t *testing.T) {
	i := brisk()
	i.stop(time.Second, 0)
	require.Equal(t, time.Second+20*time.Millisecond, i.until)
	i.stop(2*time.Second, 2*time.Millisecond)
	require.Equal(t, 200*time.Millisecond, i.pause)
	i.stop(3*time.Second, 0)
	require.Equal(t, 400*time.Millisecond, i.pause)
	for range 10 {
		i.stop(3*time.Second, 0)
	}
	require.Equal(t, maxInlinePause, i.pause)
	require.Zero(t, i.after(inlineRun-1, inlineTime))
	i.stop(i.since, 0)
	require.Equal(t, maxInlinePause, i.pause, "not long enough")
	require.Zero(t, i.after(inlineRun, inlineTime))
	i.stop(i.since, 0)
	require.Equal(t, 20*time.Millisecond, i.pause)
}
