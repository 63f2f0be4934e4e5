package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// busyThenIdle makes a crew of n workers by keeping each busy until all have started, and returns when all are idle.
func busyThenIdle(t *testing.T, n int, o Options) *crew {
	t.Helper()
	o.Max = n
	held := newGate()
	c := newCrew(t, o, program{handle: held.handle})
	var calls []*asked
	for range n {
		calls = append(calls, c.ask(t.Context(), "", CallOptions{}))
	}
	held.open()
	for _, call := range calls {
		require.NoError(t, call.result())
	}
	synctest.Wait()
	require.Len(t, c.launched(), n)
	return c
}

func TestL2_11_EachWorkerHasItsOwnDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := busyThenIdle(t, 3, Options{IdleTimeout: time.Minute})
		start := time.Now()
		count := func() int { return c.Snapshot().ready() }
		at(start, 20*time.Second)
		c.serves() // one worker is used at 20 s, and at 40 s: the most recently used one, always the same
		at(start, 40*time.Second)
		c.serves()
		at(start, time.Minute-1)
		require.Equal(t, 3, count())
		at(start, time.Minute)
		require.Equal(t, 1, count(), "the two that were idle all the time")
		at(start, 100*time.Second-1)
		require.Equal(t, 1, count())
		at(start, 100*time.Second)
		require.Equal(t, 0, count())
	})
}

func TestL2_11_NeverBelowMin(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := busyThenIdle(t, 3, Options{IdleTimeout: time.Minute, Min: 1})
		time.Sleep(time.Hour)
		require.Equal(t, 1, c.Snapshot().ready())
		require.EqualValues(t, 2, c.Snapshot().Counters.IdleStops)
		require.Len(t, c.launched(), 3, "and none is started in their place")
	})
}

func TestL2_11_NeverABusyOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{IdleTimeout: time.Minute}, program{inFlight: 2, handle: held.handle})
		call := c.ask(t.Context(), "", CallOptions{})
		time.Sleep(time.Hour)
		require.Equal(t, 1, c.Snapshot().ready())
		held.open()
		require.NoError(t, call.result())
		freed := time.Now()
		at(freed, time.Minute-1)
		require.Equal(t, 1, c.Snapshot().ready())
		at(freed, time.Minute)
		require.Equal(t, 0, c.Snapshot().ready())
	})
}

func TestP27_NeverUsedWorkersAreReaped(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		// The caller has gone when the worker that it caused to start is ready.
		c := newCrew(t, Options{IdleTimeout: time.Minute, QueueTimeout: time.Second}, program{loads: 2 * time.Second})
		start := time.Now()
		require.ErrorIs(t, c.echo(t.Context(), ""), ErrQueueTimeout)
		at(start, 62*time.Second-1)
		require.Equal(t, 1, c.Snapshot().ready())
		at(start, 62*time.Second)
		require.Equal(t, 0, c.Snapshot().ready())
		require.Zero(t, c.Snapshot().Counters.Deaths, "a wanted end")
	})
}

func TestP27_IdleTimeoutZeroIsTheDefaultAndNegativeIsNever(t *testing.T) {
	for _, cs := range []struct {
		set  time.Duration
		ends time.Duration // 0: never
	}{{0, defaultIdleTimeout}, {-1, 0}, {-time.Hour, 0}} {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{IdleTimeout: cs.set})
			c.serves()
			start := time.Now()
			at(start, max(cs.ends, 48*time.Hour)-1)
			if cs.ends == 0 {
				require.Equal(t, 1, c.Snapshot().ready())
				return
			}
			require.Equal(t, 0, c.Snapshot().ready())
			require.Len(t, c.launched(), 1, "no thrashing")
		})
	}
}

func TestIdle_StopsAreReplacedForWhoComesMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{IdleTimeout: time.Minute, StopGrace: 10 * time.Second}, program{deafToShutdown: true}, program{})
		c.serves()
		time.Sleep(time.Minute + time.Second)
		require.Equal(t, []State{StateStopping}, c.states())
		late := c.ask(t.Context(), "", CallOptions{})
		require.False(t, late.over(), "one slot's stop does not refuse callers: they wait for the next generation")
		require.NoError(t, late.result())
		require.EqualValues(t, 2, c.Snapshot().Workers[0].Generation)
	})
}
