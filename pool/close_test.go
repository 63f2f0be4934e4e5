package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

func TestClose_FailsWaitingAndRunningCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{}, program{handle: held.handle})
		running := c.ask(t.Context(), "", CallOptions{})
		waiting := c.ask(t.Context(), "", CallOptions{})
		require.NoError(t, c.Close(), "the worker obeys the message")

		e := asError(t, running.result())
		require.ErrorIs(t, e, ErrClosed)
		require.Equal(t, ClassCaller, e.Class)
		require.Equal(t, rpc.Unknown, e.Delivery)
		require.NotErrorIs(t, e, ErrTransient)
		require.False(t, Retryable(e))

		e = asError(t, waiting.result())
		require.ErrorIs(t, e, ErrClosed)
		require.Equal(t, rpc.NotSent, e.Delivery)
		require.False(t, Retryable(e))

		require.ErrorIs(t, c.echo(t.Context(), ""), ErrClosed)
		require.ErrorIs(t, c.Call(t.Context(), "echo", "", nil, CallOptions{Attempt: 2}), ErrClosed)
		require.ErrorIs(t, c.Ready(t.Context()), ErrClosed)
		require.NoError(t, c.Stop(t.Context()))
		require.NoError(t, c.Close())
		require.NoError(t, c.Shutdown(t.Context()))
		require.True(t, c.Snapshot().Closed)
		require.Equal(t, process.KillerShutdown, c.proc(0).Report().Killer)
	})
}

func TestClose_RunningCallsFailAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{deafToShutdown: true, handle: func(v *visit) (any, error) {
			<-v.ctx.Done()
			return nil, nil
		}})
		running := c.ask(t.Context(), "", CallOptions{})
		start := time.Now()
		c.async(c.Close)
		require.ErrorIs(t, running.result(), ErrClosed)
		require.Zero(t, time.Since(start), "however long the worker takes to go")
	})
}

func TestP31_P36_CloseReportsWhatItForced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Min: 2, StopGrace: time.Second, CloseGrace: 2 * time.Second, KillGrace: 4 * time.Second},
			program{deafToShutdown: true, deafToEOF: true, deafToTERM: true}, program{})
		require.NoError(t, c.Ready(t.Context()))
		start := time.Now()
		first := c.async(c.Close)
		second := c.async(c.Close)
		err := first.result()
		require.Equal(t, 7*time.Second, time.Since(start))
		require.ErrorContains(t, err, "did not stop when asked: stopped by us (shutdown): killed by signal 9 (KILL)")
		require.NotContains(t, err.Error(), c.proc(1).Report().String())
		require.Equal(t, err, second.result(), "idempotent")
		require.Equal(t, err, c.Close())
	})
}

// TestP36_CloseReturns whatever does not end, within the sum of its graces, and says what that is.
func TestP36_CloseReturns(t *testing.T) {
	graces := Options{StartTimeout: -1, StopGrace: time.Second, CloseGrace: 2 * time.Second, KillGrace: 4 * time.Second, DrainTimeout: 8 * time.Second}
	const bound = 15 * time.Second
	t.Run("a start hook", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			o := graces
			stuck := make(chan struct{})
			o.StartHook = func(context.Context, Conn) error { <-stuck; return nil }
			c := newCrew(t, o)
			c.ask(t.Context(), "", CallOptions{})
			start := time.Now()
			require.ErrorContains(t, c.Close(), "the start hook, or a call to the connection, has not returned")
			require.Equal(t, bound, time.Since(start))
			require.Equal(t, []State{StateStopped}, c.states(), "the process is gone all the same")
			close(stuck)
			synctest.Wait()
			require.NoError(t, c.Close())
		})
	})
	t.Run("an exit hook", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			o := graces
			stuck := make(chan struct{})
			o.ExitHook = func(Exit) { <-stuck }
			c := newCrew(t, o)
			c.serves()
			c.crash(0)
			synctest.Wait()
			c.serves()
			require.Len(t, c.launched(), 2, "it does not hold up the next generation")
			start := time.Now()
			require.ErrorContains(t, c.Close(), "the exit hook has not returned")
			require.Equal(t, bound, time.Since(start))
			close(stuck)
		})
	})
	t.Run("a launch", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			o := graces
			stuck := make(chan struct{})
			var proc *process.Process
			o.Start = func(_ process.Command, po process.Options) (*process.Process, error) {
				<-stuck
				proc = process.StartFunc(program{loads: time.Hour}.run, po)
				return proc, nil
			}
			c := newCrew(t, o)
			waiting := c.ask(t.Context(), "", CallOptions{})
			start := time.Now()
			closing := c.async(c.Close)
			require.ErrorIs(t, waiting.result(), ErrClosed)
			require.ErrorContains(t, closing.result(), "its process has not exited")
			require.Equal(t, bound, time.Since(start))
			close(stuck)
			time.Sleep(time.Minute)
			synctest.Wait()
			require.NotZero(t, proc.Report().PID, "what comes late is ended all the same")
			require.Equal(t, []State{StateStopped}, c.states())
		})
	})
	t.Run("a launch that fails late", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			o := graces
			stuck := make(chan struct{})
			o.Start = func(c process.Command, po process.Options) (*process.Process, error) { <-stuck; return noStart(c, po) }
			c := newCrew(t, o)
			c.ask(t.Context(), "", CallOptions{})
			closing := c.async(c.Close)
			close(stuck)
			require.NoError(t, closing.result())
		})
	})
	t.Run("without graces", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{StopGrace: -1, CloseGrace: -1, KillGrace: -1, DrainTimeout: -1}, program{deafToShutdown: true, deafToEOF: true, deafToTERM: true})
			c.serves()
			start := time.Now()
			require.ErrorContains(t, c.Close(), "did not stop when asked")
			require.Less(t, time.Since(start), time.Microsecond)
		})
	})
}

// TestClose_WhileItsLastWorkerDies: whatever comes first, the calls fail with ErrClosed.
func TestClose_WhileItsLastWorkerDies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Log: slowStderr()}, program{handle: func(v *visit) (any, error) {
			_, _ = v.Stderr.Write([]byte("one\n"))
			<-v.over
			return nil, nil
		}})
		running := c.ask(t.Context(), "", CallOptions{})
		c.crash(0)
		synctest.Wait()
		require.False(t, running.over(), "the last of the standard error is being waited for")
		require.NoError(t, c.Close())
		e := asError(t, running.result())
		require.ErrorIs(t, e, ErrClosed)
		require.Equal(t, ClassCaller, e.Class)
	})
}

func TestClose_KillsWhatIsStarting(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{loads: time.Hour, deafToTERM: true})
		c.ask(t.Context(), "", CallOptions{})
		start := time.Now()
		require.NoError(t, c.Close(), "which is not to be reported: it was never asked")
		require.Zero(t, time.Since(start))
		require.Equal(t, process.KILL, c.proc(0).Report().Signal)
		require.Zero(t, c.Snapshot().Counters.BootFailures)
	})
}

func TestClose_EndsAStopUnderWay(t *testing.T) {
	t.Run("whose worker was starting", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{StartTimeout: -1}, program{loads: time.Hour})
			c.ask(t.Context(), "", CallOptions{})
			stop := c.async(func() error { return c.Stop(t.Context()) })
			require.Equal(t, []State{StateWaitingReady}, c.states())
			start := time.Now()
			require.NoError(t, c.Close())
			require.Less(t, time.Since(start), time.Minute, "by its ladder, without waiting until it is ready")
			require.NoError(t, stop.result())
		})
	})
	t.Run("whose worker finishes its calls", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			held := newGate()
			c := newCrew(t, Options{StopGrace: time.Hour}, program{handle: held.handle})
			running := c.ask(t.Context(), "", CallOptions{})
			stop := c.async(func() error { return c.Stop(t.Context()) })
			time.Sleep(time.Minute)
			require.False(t, running.over(), "Stop gives running calls StopGrace")
			start := time.Now()
			require.NoError(t, c.Close())
			require.ErrorIs(t, running.result(), ErrClosed)
			require.Zero(t, time.Since(start), "the worker is asked again, now to cancel them")
			require.NoError(t, stop.result())
		})
	})
}

func TestStop_GivesRunningCallsTheirTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Max: 2, StopGrace: 10 * time.Second}, program{handle: func(v *visit) (any, error) {
			var d time.Duration
			if string(v.call.Args) == `"slow"` {
				d = time.Minute
			}
			v.sleep(5*time.Second + d)
			return v.call.Args, nil
		}})
		quick := c.ask(t.Context(), "quick", CallOptions{})
		slow := c.ask(t.Context(), "slow", CallOptions{})
		waiting := c.ask(t.Context(), "", CallOptions{})
		start := time.Now()
		stop := c.async(func() error { return c.Stop(t.Context()) })
		require.ErrorIs(t, waiting.result(), ErrStopping)
		require.NoError(t, quick.result())
		require.Equal(t, 5*time.Second, time.Since(start))
		e := asError(t, slow.result())
		require.Equal(t, 10*time.Second, time.Since(start))
		require.ErrorIs(t, e, ErrTransient)
		require.Equal(t, ClassInterrupted, e.Class)
		require.ErrorContains(t, e, "stopped by us (asked)")
		require.NoError(t, stop.result())
		require.Zero(t, c.Snapshot().Counters.Deaths)
	})
}

func TestStop_EndsTheBackOff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{unable: "no license"}, program{})
		require.Error(t, c.echo(t.Context(), ""))
		require.False(t, c.Snapshot().BackoffUntil.IsZero())
		require.NoError(t, c.Stop(t.Context()))
		c.serves()
	})
}

// A stop that is over before Ready looks again has ended what Ready waits for.
func TestReady_NoticesAStopThatIsOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Min: 1}, program{exits: new(int)})
		time.Sleep(100 * time.Millisecond) // in the first back-off there is no process
		ready := c.async(func() error { return c.Ready(context.Background()) })
		require.False(t, ready.over())
		require.NoError(t, c.Stop(t.Context()))
		require.ErrorIs(t, ready.result(), ErrStopping)
	})
}

func TestShutdown_ServesWhoHasCome(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{handle: func(v *visit) (any, error) { v.sleep(time.Second); return v.call.Args, nil }})
		var calls []*asked
		for range 5 {
			calls = append(calls, c.ask(t.Context(), "", CallOptions{}))
		}
		start := time.Now()
		down := c.async(func() error { return c.Shutdown(t.Context()) })
		e := asError(t, c.Call(t.Context(), "echo", "", nil, CallOptions{}))
		require.ErrorIs(t, e, ErrClosed)
		require.Equal(t, ClassCaller, e.Class)
		again := c.ask(t.Context(), "", CallOptions{Attempt: 2})
		require.NoError(t, down.result())
		require.Equal(t, 6*time.Second, time.Since(start))
		for _, call := range append(calls, again) {
			require.NoError(t, call.result(), "also the retry of a call that had been taken")
		}
		require.Equal(t, []State{StateStopped}, c.states())
	})
}

func TestShutdown_ReplacesWorkersWhileItDrains(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{}, program{handle: held.handle}, program{})
		running := c.ask(t.Context(), "", CallOptions{})
		waiting := c.ask(t.Context(), "", CallOptions{})
		down := c.async(func() error { return c.Shutdown(t.Context()) })
		c.crash(0)
		require.ErrorIs(t, running.result(), ErrTransient)
		require.NoError(t, waiting.result())
		require.NoError(t, down.result())
	})
}

func TestShutdown_KeepsNoMin(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Min: 2}, program{handle: held.handle})
		require.NoError(t, c.Ready(t.Context()))
		running := c.ask(t.Context(), "", CallOptions{})
		down := c.async(func() error { return c.Shutdown(t.Context()) })
		for i, w := range c.Snapshot().Workers {
			if w.InFlight == 0 {
				c.crash(c.launchOf(i))
			}
		}
		time.Sleep(time.Minute)
		require.Len(t, c.launched(), 2)
		held.open()
		require.NoError(t, running.result())
		require.NoError(t, down.result())
	})
}

func TestShutdown_EndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{}, program{handle: held.handle})
		running := c.ask(t.Context(), "", CallOptions{})
		waiting := c.ask(t.Context(), "", CallOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, c.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, running.result(), ErrClosed)
		require.ErrorIs(t, waiting.result(), ErrClosed)
	})
}

func TestShutdown_IdleWorkersAreLeftAloneMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Min: 0, Max: 2, IdleTimeout: time.Minute}, program{handle: held.handle}, program{})
		running := c.ask(t.Context(), "", CallOptions{})
		c.serves() // by the second
		down := c.async(func() error { return c.Shutdown(t.Context()) })
		time.Sleep(time.Hour)
		require.Equal(t, []State{StateReady, StateReady}, c.states())
		held.open()
		require.NoError(t, running.result())
		require.NoError(t, down.result())
	})
}

func TestShutdown_WhoLeavesTheQueueIsNotWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{StartTimeout: -1}, program{loads: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		waiting := c.ask(ctx, "", CallOptions{})
		start := time.Now()
		require.NoError(t, c.Shutdown(t.Context()))
		require.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, waiting.result(), context.DeadlineExceeded)
	})
}

// Close ends a process that was being launched meanwhile as it ends one that starts: at once.
func TestL2_6_CloseDuringALaunchKills(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var proc *process.Process
		c := newCrew(t, Options{Start: func(_ process.Command, o process.Options) (*process.Process, error) {
			time.Sleep(50 * time.Millisecond)
			proc = process.StartFunc(program{deafToTERM: true, deafToEOF: true, mute: true}.run, o)
			return proc, nil
		}})
		start := time.Now()
		call := c.ask(t.Context(), "", CallOptions{})
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, c.Close())
		require.Equal(t, 50*time.Millisecond, time.Since(start).Truncate(10*time.Millisecond))
		require.Equal(t, process.KILL, proc.Report().Signal)
		require.ErrorIs(t, call.result(), ErrClosed)
	})
}
