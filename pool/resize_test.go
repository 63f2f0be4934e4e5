package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

func TestResize_Grows(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Max: 1}, program{handle: held.handle})
		first := c.ask(t.Context(), "1", CallOptions{})
		second := c.ask(t.Context(), "2", CallOptions{})
		require.Len(t, c.launched(), 1)
		require.NoError(t, c.Resize(t.Context(), 0, 2))
		synctest.Wait()
		require.Len(t, c.launched(), 2, "for the caller that waits")
		require.NoError(t, c.Resize(t.Context(), 4, 8))
		require.NoError(t, c.Ready(t.Context()))
		require.Len(t, c.launched(), 4)
		held.open()
		require.NoError(t, first.result())
		require.NoError(t, second.result())
		require.Len(t, c.Snapshot().Workers, 8)
	})
}

// Those go first that have been idle for longest; busy ones finish their calls.
func TestResize_Shrinks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Max: 4, Min: 4, IdleTimeout: -1}, program{handle: held.handle})
		require.NoError(t, c.Ready(t.Context()))
		calls := []*asked{c.ask(t.Context(), "1", CallOptions{}), c.ask(t.Context(), "2", CallOptions{})}
		idle := map[int]bool{}
		for _, w := range c.Snapshot().Workers {
			idle[w.PID] = w.InFlight == 0
		}
		require.NoError(t, c.Resize(t.Context(), 0, 2))
		for _, w := range c.Snapshot().Workers {
			require.False(t, idle[w.PID] && w.State == StateReady)
		}
		require.Equal(t, 2, c.Snapshot().processes())

		resized := c.async(func() error { return c.Resize(context.Background(), 0, 1) })
		require.False(t, resized.over(), "a call is not cut short")
		require.Equal(t, 1, c.Snapshot().ready())
		held.open()
		for _, call := range calls {
			require.NoError(t, call.result())
		}
		require.NoError(t, resized.result())
		require.Equal(t, 1, c.Snapshot().processes())
		s := c.Snapshot()
		require.EqualValues(t, 3, s.Counters.Ends["resize"])
		require.Zero(t, s.Counters.Deaths)
		require.Equal(t, 1, s.Max)
	})
}

// Workers that are starting are not waited for.
func TestResize_EndsThoseThatStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Min: 4}, program{loads: time.Second})
		synctest.Wait()
		start := time.Now()
		require.NoError(t, c.Resize(t.Context(), 1, 1))
		require.NoError(t, c.Ready(t.Context()))
		require.Equal(t, time.Second, time.Since(start))
		require.Len(t, c.launched(), 4)
		require.EqualValues(t, 3, c.Snapshot().Counters.Ends["resize"])
		require.Zero(t, c.Snapshot().Counters.BootFailures)
	})
}

func TestResize_ChecksWhatItIsGiven(t *testing.T) {
	c := newCrew(t, Options{Max: 2})
	require.ErrorContains(t, c.Resize(t.Context(), 3, 2), "Min: 3 is more than Max, which is 2")
	require.ErrorContains(t, c.Resize(t.Context(), -1, -2), "Max: -2 is negative")
	require.Equal(t, 2, c.Snapshot().Max, "it is as it was")
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.Resize(t.Context(), 0, 1), ErrClosed)
}

func TestResize_ContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Max: 2}, program{handle: held.handle})
		calls := []*asked{c.ask(t.Context(), "1", CallOptions{}), c.ask(t.Context(), "2", CallOptions{})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.Resize(ctx, 0, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the resize goes on")
		held.open()
		for _, call := range calls {
			require.NoError(t, call.result())
		}
		synctest.Wait()
		require.Equal(t, 1, c.Snapshot().processes())
	})
}

// A slot beyond Max stays until its process is gone, then the list is as short as it should be.
func TestResize_ManyTimesLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Max: 2, MaxCalls: 5})
		for i := range 50 {
			size := 1 + i*7%5
			require.NoError(t, c.Resize(t.Context(), size/2, size))
			for range 3 {
				c.serves()
			}
			if i%10 == 3 {
				require.NoError(t, c.Reload(t.Context(), process.Command{}))
			}
			synctest.Wait()
			s := c.Snapshot()
			require.LessOrEqual(t, s.processes(), size+1)
			require.GreaterOrEqual(t, len(s.Workers), size)
			require.LessOrEqual(t, len(s.Workers), size+1)
		}
	})
}

// A slot and its generation name one process for good, however often the crew shrinks and grows.
func TestResize_NamesNoProcessTwice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Min: 4})
		type name struct {
			slot int
			gen  uint64
		}
		pids := map[name]int{}
		for range 3 {
			require.NoError(t, c.Resize(t.Context(), 4, 4))
			require.NoError(t, c.Ready(t.Context()))
			for _, w := range c.Snapshot().Workers {
				pid, known := pids[name{w.Slot, w.Generation}]
				require.True(t, !known || pid == w.PID || w.PID == 0, "%s", workerName("crew", w.Slot))
				pids[name{w.Slot, w.Generation}] = w.PID
			}
			require.NoError(t, c.Resize(t.Context(), 1, 1))
		}
		require.Len(t, pids, len(c.launched()))
	})
}
