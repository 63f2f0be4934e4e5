package pool

import (
	"context"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// loopIs checks what the snapshot says of the crash loop, and how many processes are starting.
func (c *crew) loopIs(want loop, starting int) {
	c.t.Helper()
	synctest.Wait()
	s := c.Snapshot()
	require.Equal(c.t, string(want), s.CrashLoop)
	got := 0
	for _, w := range s.Workers {
		if w.State == StateStarting {
			got++
		}
	}
	require.Equal(c.t, starting, got, "processes that are starting")
}

// askMany makes n calls.
func (c *crew) askMany(n int) (all []*asked) {
	for i := range n {
		all = append(all, c.ask(context.Background(), fmt.Sprint(i), CallOptions{}))
	}
	return all
}

// sickThen is a crew whose processes fail to start within a second until it is cured, and then are ready after five.
func sickThen(t *testing.T, o Options) (c *crew, cure func()) {
	one := 1
	var well atomic.Bool
	c = newCrewOf(t, o, func(int) process.Func {
		if well.Load() {
			return program{loads: 5 * time.Second}.run
		}
		return program{loads: time.Second, exits: &one}.run
	})
	return c, func() { well.Store(true) }
}

// TestP24_OneProbe: in a crash loop processes are tried one at a time, and callers wait for the one that is being tried.
func TestP24_OneProbe(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, cure := sickThen(t, Options{Max: 8})
		start := time.Now()
		c.loopIs(loopNone, 0)
		first := c.askMany(20)
		c.loopIs(loopNone, maxStarts)
		at(start, time.Second)
		c.loopIs(loopOpen, 0)
		require.Len(t, c.launched(), maxStarts)
		for _, call := range first {
			require.ErrorContains(t, call.result(), "next attempt in 1s")
		}

		at(start, 2*time.Second) // the delay is over
		c.loopIs(loopOpen, 0)
		second := c.askMany(20)
		c.loopIs(loopProbing, 1)
		require.False(t, second[0].over())
		at(start, 3*time.Second)
		c.loopIs(loopOpen, 0)
		for _, call := range second {
			require.ErrorContains(t, call.result(), "next attempt in 2s", "its failure is that of all who waited for it, and the delay doubles")
		}
		require.ErrorContains(t, c.echo(t.Context(), ""), "next attempt in 2s")
		require.Len(t, c.launched(), maxStarts+1)

		at(start, 5*time.Second)
		cure()
		third := c.askMany(20)
		c.loopIs(loopProbing, 1)
		at(start, 10*time.Second-1)
		c.loopIs(loopProbing, 1)
		require.Len(t, c.launched(), maxStarts+2)
		at(start, 10*time.Second)
		c.loopIs(loopNone, maxStarts) // for those that still wait, as ever
		for _, call := range third {
			require.NoError(t, call.result())
		}
	})
}

// TestP24_MinIsProbedToo: nobody need call.
func TestP24_MinIsProbedToo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, cure := sickThen(t, Options{Min: 4})
		start := time.Now()
		c.loopIs(loopNone, 4)
		at(start, time.Second)
		c.loopIs(loopOpen, 0)
		at(start, 2*time.Second)
		c.loopIs(loopProbing, 1)
		at(start, 3*time.Second)
		c.loopIs(loopOpen, 0)
		cure()
		at(start, 5*time.Second)
		c.loopIs(loopProbing, 1)
		at(start, 10*time.Second)
		c.loopIs(loopNone, 3)
		at(start, 15*time.Second)
		require.NoError(t, c.Ready(t.Context()))
		require.Equal(t, 4, c.Snapshot().ready())
	})
}

func TestCrashLoop_ACallerThatLeavesTheProbe(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, cure := sickThen(t, Options{Max: 4, Restart: Restart{Min: time.Second, Max: time.Second}})
		require.Error(t, c.echo(t.Context(), ""))
		time.Sleep(2 * time.Second)
		cure()
		ctx, cancel := context.WithCancel(t.Context())
		left, stays := c.ask(ctx, "", CallOptions{}), c.ask(t.Context(), "", CallOptions{})
		cancel()
		require.ErrorIs(t, left.result(), context.Canceled)
		c.loopIs(loopProbing, 1)
		require.NoError(t, stays.result())
		c.loopIs(loopNone, 0)
	})
}

func TestCrashLoop_FatalBeginsItAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		launches := 0
		c := newCrew(t, Options{Max: 4, Start: func(_ process.Command, po process.Options) (*process.Process, error) {
			if launches++; launches <= 2 {
				return nil, &process.StartError{Path: "worker", Err: fs.ErrNotExist}
			}
			return process.StartFunc(program{loads: time.Second}.run, po), nil
		}})
		require.Error(t, c.echo(t.Context(), ""))
		c.loopIs(loopOpen, 0)
		time.Sleep(time.Second)
		require.Error(t, c.echo(t.Context(), ""))
		require.Equal(t, 2, launches)
		time.Sleep(2 * time.Second)
		for _, call := range c.askMany(1) {
			require.NoError(t, call.result())
		}
		c.loopIs(loopNone, 0)
	})
}

// On the wall clock a short delay may be over before the pool has got round to its callers. They are told of the failure all the same.
func TestCrashLoop_DelayThatIsOverAtOnce(t *testing.T) {
	for range 20 {
		c := newCrew(t, Options{Restart: Restart{Min: 1, Max: 1}}, program{unable: "no license"}, program{})
		require.ErrorContains(t, c.echo(t.Context(), ""), "no license")
		require.Eventually(t, func() bool { return c.echo(t.Context(), "") == nil }, 10*time.Second, time.Millisecond)
	}
}

// A worker that dies may leave a pool in which nothing can be started.
func TestCrashLoop_BeginsWithTheLastWorkersEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Max: 2}, program{handle: held.handle}, program{unable: "no license"})
		c.ask(t.Context(), "", CallOptions{})
		waiting := c.ask(t.Context(), "", CallOptions{})
		c.loopIs(loopNone, 0)
		c.crash(0)
		require.ErrorContains(t, waiting.result(), "no license")
		c.loopIs(loopOpen, 0)
	})
}

func TestCrashLoop_StopEndsIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, cure := sickThen(t, Options{Max: 4, Restart: Restart{Min: time.Hour, Max: time.Hour}})
		for range 3 {
			require.Error(t, c.echo(t.Context(), ""))
			time.Sleep(2 * time.Hour)
		}
		probe := c.ask(t.Context(), "", CallOptions{})
		c.loopIs(loopProbing, 1)
		stop := c.async(func() error { return c.Stop(context.Background()) })
		require.ErrorIs(t, probe.result(), ErrStopping)
		require.NoError(t, stop.result())
		c.loopIs(loopNone, 0)
		cure()
		c.serves()
	})
}

func TestCrashLoop_IsNoMatterOfAClosedPool(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{unable: "no license"})
		require.Error(t, c.echo(t.Context(), ""))
		c.loopIs(loopOpen, 0)
		require.NoError(t, c.Close())
		c.loopIs(loopNone, 0)
	})
}

// TestCrashLoop_AReloadEndsIt: a program that works is not made to wait for the delay of one that does not; another one that does not changes nothing.
func TestCrashLoop_AReloadEndsIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, cure := sickThen(t, Options{Max: 4, Restart: Restart{Min: time.Hour, Max: time.Hour}})
		for range 3 {
			require.Error(t, c.echo(t.Context(), ""))
			time.Sleep(time.Hour)
		}
		require.ErrorContains(t, c.echo(t.Context(), ""), "next attempt in 1h")
		require.ErrorContains(t, c.Reload(t.Context(), process.Command{}), "exited with code 1")
		c.loopIs(loopOpen, 0)
		require.ErrorContains(t, c.echo(t.Context(), ""), "next attempt in 59m59s")
		cure()
		require.NoError(t, c.Reload(t.Context(), process.Command{}))
		c.loopIs(loopNone, 0)
		c.serves()
	})
}
