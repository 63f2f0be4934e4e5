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

// Calls that are a little too slow use up what is allowed together, and quick ones make up for them.
func TestInlining_SlowCallsAddUp(t *testing.T) {
	i := brisk()
	for range 1000 {
		require.Zero(t, i.after(1, inlineTime+10*time.Microsecond))
		require.Zero(t, i.after(10, inlineTime-time.Microsecond))
	}
	require.Zero(t, i.after(20, inlineTime+10*time.Microsecond))
	require.Equal(t, inlineShare*inlineCredit, i.after(1, inlineTime+10*time.Microsecond))
	require.Zero(t, i.excess, "what was is forgotten")
}

// A long call may be the processor's fault, which was taken away. Several are not, if they come soon after each other, however many quick ones there
// are beside them.
func TestInlining_LongCalls(t *testing.T) {
	i := brisk()
	for range 100 {
		require.Zero(t, i.after(1, inlineCredit)+i.after(100, time.Microsecond))
		i.since += inlineShare * inlineCredit
	}
	require.Zero(t, i.after(1, inlineCredit))
	require.Zero(t, i.after(1000, inlineTime/2))
	require.NotZero(t, i.after(1, inlineLong+1))
	i = brisk()
	require.Equal(t, inlineShare*2*inlineCredit, i.after(1, 2*inlineCredit), "until it is a fiftieth of the time")
	for i, pause := brisk(), time.Duration(0); pause == 0; {
		pause = i.after(100, time.Microsecond) + i.after(1, 60*time.Microsecond)
		require.Less(t, i.calls, 40*101)
	}
}

// A pause makes up for what was lost, and is longer each time, up to a bound, unless all went well for long.
func TestInlining_Pauses(t *testing.T) {
	const least = inlineShare * inlineCredit
	i := brisk()
	i.stop(time.Second, 0)
	require.Equal(t, time.Second+least, i.until)
	i.stop(2*time.Second, 4*inlineCredit)
	require.Equal(t, 4*least, i.pause)
	i.stop(3*time.Second, 0)
	require.Equal(t, 8*least, i.pause)
	for range 10 {
		i.stop(3*time.Second, 0)
	}
	require.Equal(t, maxInlinePause, i.pause)
	require.Zero(t, i.after(inlineRun-1, inlineTime))
	i.stop(i.since, 0)
	require.Equal(t, maxInlinePause, i.pause, "not long enough")
	require.Zero(t, i.after(inlineRun, inlineTime))
	i.stop(i.since, 0)
	require.Equal(t, least, i.pause)
}
