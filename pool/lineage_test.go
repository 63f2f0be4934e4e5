package pool

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// journal collects words from several goroutines, in the order in which they come.
type journal struct {
	mu    sync.Mutex
	words []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.words = append(j.words, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.words...)
}

func TestL2_1_HundredGetsLaunchOneProcess(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var served journal
		c := newCrew(t, Options{}, program{
			loads:  time.Second,
			handle: func(v *visit) (any, error) { served.add("%s", v.call.Args); return nil, nil },
		})
		var calls []*asked
		var want []string
		for i := range 100 {
			calls = append(calls, c.ask(t.Context(), strconv.Itoa(i), CallOptions{}))
			want = append(want, fmt.Sprintf("%q", strconv.Itoa(i)))
		}
		require.Len(t, c.launched(), 1)
		require.Equal(t, 100, c.Snapshot().Waiting)
		for _, call := range calls {
			require.NoError(t, call.result())
		}
		require.Equal(t, want, served.all(), "in the order in which they came")
		require.Len(t, c.launched(), 1)
	})
}

func TestL2_2_HandshakeThenHookThenCallers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var heard journal
		listening := program{loads: time.Second, heard: func(l jsonLine) {
			switch {
			case l.Slot != nil:
				heard.add("welcome")
			case l.Method != "":
				heard.add("%s %s", l.Method, l.Args)
			}
		}}
		c := newCrew(t, Options{StartHook: func(ctx context.Context, conn Conn) error {
			return conn.Call(ctx, "warm up", nil, nil, rpc.CallOptions{})
		}}, listening)
		one := c.ask(t.Context(), "1", CallOptions{})
		two := c.ask(t.Context(), "2", CallOptions{})
		require.NoError(t, one.result())
		require.NoError(t, two.result())
		require.Equal(t, []string{"welcome", "warm up null", `echo "1"`, `echo "2"`}, heard.all())
	})
}

func TestL2_2_FailingHookIsAFailedStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var tries int
		c := newCrew(t, Options{StartHook: func(context.Context, Conn) error {
			if tries++; tries == 1 {
				return errors.New("cold")
			}
			return nil
		}})
		c.serves()
		require.Len(t, c.launched(), 2, "the caller waited for the second")
		require.Equal(t, process.KillerStart, c.proc(0).Report().Killer)
		require.EqualValues(t, 1, c.Snapshot().Counters.BootFailures)
	})
}

func TestL2_2_HookIsBoundByStartTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		start := time.Now()
		var told time.Duration
		c := newCrew(t, Options{
			StartTimeout: 3 * time.Second, CloseGrace: time.Minute, Restart: Restart{Min: time.Hour, Max: time.Hour},
			StartHook: func(ctx context.Context, _ Conn) error {
				<-ctx.Done()
				told = time.Since(start)
				return context.Cause(ctx)
			},
		}, program{loads: time.Second, deafToEOF: true})
		c.ask(t.Context(), "", CallOptions{})
		at(start, 3*time.Second-1)
		require.Equal(t, []State{StateStarting}, c.states())
		at(start, 3*time.Second)
		require.Equal(t, []State{StateStopping}, c.states())
		require.Equal(t, 3*time.Second, told, "the hook learns of it then, not when the process is gone")
	})
}

// TestL2_3_StateChangesBeforeFailing: whoever fails sees the new state, and may ask again at once.
func TestL2_3_StateChangesBeforeFailing(t *testing.T) {
	t.Run("in flight when the worker dies", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			held := newGate()
			c := newCrew(t, Options{}, program{handle: held.handle}, program{})
			var again error
			failed := make(chan struct{})
			go func() {
				defer close(failed)
				err := c.Call(t.Context(), "echo", "", nil, CallOptions{})
				require.ErrorIs(t, err, ErrTransient)
				again = c.echo(t.Context(), "again")
			}()
			synctest.Wait()
			c.crash(0)
			<-failed
			require.NoError(t, again)
			require.Len(t, c.launched(), 2)
		})
	})
	t.Run("waiting when the worker cannot start", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{}, program{loads: time.Second, unable: "no license"}, program{})
			var during Snapshot
			var again error
			failed := make(chan struct{})
			go func() {
				defer close(failed)
				err := c.Call(t.Context(), "echo", "", nil, CallOptions{})
				require.ErrorIs(t, err, ErrTransient)
				during = c.Snapshot()
				again = c.Call(t.Context(), "echo", "", nil, CallOptions{})
			}()
			<-failed
			require.NotEqual(t, StateStarting, during.Workers[0].State)
			require.Zero(t, during.Waiting, "those concerned are taken out first")
			require.ErrorContains(t, again, "no license", "refused with the reason, not lost in the queue")
			time.Sleep(time.Until(during.BackoffUntil))
			c.serves()
		})
	})
	t.Run("waiting when the pool stops", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{}, program{loads: time.Second})
			again := make(chan error, 1)
			go func() {
				err := c.Call(t.Context(), "echo", "", nil, CallOptions{})
				require.ErrorIs(t, err, ErrStopping)
				require.Equal(t, []State{StateWaitingReady}, c.states())
				again <- c.Call(t.Context(), "echo", "", nil, CallOptions{})
			}()
			synctest.Wait()
			require.NoError(t, c.Stop(t.Context()))
			require.ErrorIs(t, <-again, ErrStopping, "refused, not lost")
			c.serves()
		})
	})
}

// TestL2_4_LateProcessIsStoppedAndReaped: a slot that has gone on without a worker hears from it.
func TestL2_4_LateProcessIsStoppedAndReaped(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{loads: time.Second, deafToTERM: true, deafToEOF: true, deafToShutdown: true})
		waiting := c.ask(t.Context(), "", CallOptions{})

		// No event leads here; a bug could.
		c.Pool.mu.Lock()
		s := c.slots[0]
		lost := s.worker
		s.machine = machine{gen: lost.gen + 1}
		s.worker = nil
		c.census = c.count()
		c.Pool.mu.Unlock()

		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, process.KILL, c.proc(0).Report().Signal)
		require.NotZero(t, c.Snapshot().Counters.LateEvents)
		require.NoError(t, waiting.result(), "the next generation serves")
		require.Equal(t, lost.gen+2, c.Snapshot().Workers[0].Generation)
	})
}

func TestL2_5_ReadyNeedsTheHandshake(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{loads: 5 * time.Second})
		start := time.Now()
		call := c.ask(t.Context(), "", CallOptions{})
		at(start, 5*time.Second-1)
		require.Equal(t, []State{StateStarting}, c.states())
		require.False(t, call.over())
		require.NoError(t, call.result())
		require.Equal(t, 5*time.Second, time.Since(start))
		require.Equal(t, []State{StateReady}, c.states())
	})
}

func TestL2_6_StopResolvesWhenTheProcessIsGone(t *testing.T) {
	obstinate := program{deafToShutdown: true, deafToEOF: true, deafToTERM: true}
	graces := Options{StopGrace: 3 * time.Second, CloseGrace: 2 * time.Second, KillGrace: time.Second}
	cases := []struct {
		name    string
		program program
		took    time.Duration
		signal  process.Signal
	}{
		{"obeys the message", program{}, 0, 0},
		{"obeys the end of its input", program{deafToShutdown: true}, 3 * time.Second, 0},
		{"obeys TERM", program{deafToShutdown: true, deafToEOF: true}, 5 * time.Second, process.TERM},
		{"obeys nothing", obstinate, 6 * time.Second, process.KILL},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCrew(t, graces, cs.program)
				c.serves()
				start := time.Now()
				require.NoError(t, c.Stop(t.Context()))
				require.Equal(t, cs.took, time.Since(start))
				report := c.proc(0).Report()
				require.NotZero(t, report.PID, "it is gone")
				require.Equal(t, cs.signal, report.Signal)
				require.Equal(t, process.KillerAsked, report.Killer)
				c.serves()
			})
		})
	}
	t.Run("idempotent in every state", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			slow := obstinate
			slow.loads = time.Second
			c := newCrew(t, graces, slow)
			require.NoError(t, c.Stop(t.Context()), "stopped: succeeds at once")
			c.ask(t.Context(), "", CallOptions{})
			start := time.Now()
			var stops []*asked
			for _, when := range []time.Duration{0, time.Second / 2, 2 * time.Second, 5 * time.Second} {
				at(start, when)
				stops = append(stops, c.async(func() error { return c.Stop(t.Context()) }))
			}
			for _, stop := range stops {
				require.NoError(t, stop.result())
				require.Equal(t, 7*time.Second, time.Since(start), "all of them wait for the same end: a second to start, six to go")
			}
		})
	})
	t.Run("goes on when the context ends", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, graces, obstinate, program{})
			c.serves()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, c.Stop(ctx), context.DeadlineExceeded)
			require.Equal(t, []State{StateStopping}, c.states())
			time.Sleep(5 * time.Second)
			synctest.Wait()
			require.Equal(t, []State{StateStopped}, c.states())
			c.serves()
		})
	})
}

func TestL2_7_RefusedWhileStoppingThenRelaunched(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Min: 1}, program{deafToShutdown: true, deafToEOF: true})
		c.serves()
		stop := c.async(func() error { return c.Stop(t.Context()) })
		for range 3 {
			e := asError(t, c.Call(t.Context(), "echo", "", nil, CallOptions{}))
			require.ErrorIs(t, e, ErrStopping)
			require.ErrorIs(t, e, ErrTransient)
			require.Equal(t, ClassUnavailable, e.Class)
			require.Equal(t, rpc.NotSent, e.Delivery)
			time.Sleep(time.Second)
		}
		require.NoError(t, stop.result())
		time.Sleep(time.Hour)
		require.Len(t, c.launched(), 1, "after a stop nothing is started before the next call, Min or not")
		c.serves()
		require.Len(t, c.launched(), 2)
		require.EqualValues(t, 2, c.Snapshot().Workers[0].Generation)
	})
}

func TestL2_8_InFlightFailsTransientlyWithTheReason(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Name: "images"}, program{inFlight: 2, handle: held.handle, stderr: "out of paper\n"})
		one := c.ask(t.Context(), "1", CallOptions{})
		two := c.ask(t.Context(), "2", CallOptions{})
		time.Sleep(72 * time.Second)
		c.crash(0)
		a, b := asError(t, one.result()), asError(t, two.result())
		require.NotSame(t, a, b, "each has its own error")
		for _, e := range []*Error{a, b} {
			require.ErrorIs(t, e, ErrTransient)
			require.Equal(t, ClassInterrupted, e.Class)
			require.Equal(t, rpc.Unknown, e.Delivery)
			require.False(t, Retryable(e))
			var exit Exit
			require.ErrorAs(t, e, &exit, "the cause is kept")
			require.Equal(t, process.KILL, exit.Report.Signal)
			require.Equal(t, fmt.Sprintf("images.echo: worker images/0 (pid %d) interrupted: killed by signal 9 (KILL) after 1m12s, 0 calls; may have been executed; stderr: out of paper", e.PID), e.Error())
		}
	})
}

func TestL2_8_WhatTheHandlerDeclaresIsRemote(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{handle: func(*visit) (any, error) { return nil, errors.New("no_paper") }})
		e := asError(t, c.Call(t.Context(), "print", "", nil, CallOptions{}))
		require.Equal(t, ClassRemote, e.Class)
		require.Equal(t, rpc.Answered, e.Delivery)
		require.NotErrorIs(t, e, ErrTransient)
		var remote *rpc.RemoteError
		require.ErrorAs(t, e, &remote)
		require.Equal(t, "no_paper", remote.Code)
		require.Equal(t, []State{StateReady}, c.states(), "the worker is none the worse")
	})
}

// TestL2_9_WorkerExitsAtTheEndOfItsInput: what the worker's side promises is enough to end it.
func TestL2_9_WorkerExitsAtTheEndOfItsInput(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{deafToShutdown: true})
		c.serves()
		require.NoError(t, c.proc(0).Do(process.CloseStdin))
		synctest.Wait()
		report := c.proc(0).Report()
		require.True(t, report.Success(), "%v", report)
		require.Equal(t, []State{StateStopped}, c.states())
		c.serves()
	})
}

func TestL2_10_Hooks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var hooks journal
		c := newCrew(t, Options{
			IdleTimeout: time.Minute, StopGrace: time.Second, CloseGrace: time.Second,
			StartHook: func(context.Context, Conn) error { hooks.add("start"); return nil },
			ExitHook: func(e Exit) {
				hooks.add("exit of %d: %s, %d calls, %v", e.Generation, e.Report.Killer, e.Calls, e.Report.Signal)
			},
		})
		c.serves()
		c.serves()
		c.crash(0)
		synctest.Wait()
		c.serves()
		time.Sleep(time.Minute)
		synctest.Wait()
		c.serves()
		require.NoError(t, c.Stop(t.Context()))
		c.serves()
		require.NoError(t, c.Close())
		require.Equal(t, []string{
			"start", "exit of 1: , 2 calls, KILL",
			"start", "exit of 2: idle, 1 calls, signal 0",
			"start", // and stopped by the user
			"start", // and closed
		}, hooks.all())
	})
}

func TestL2_10_NoExitHookWithoutAConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var hooks journal
		c := newCrew(t, Options{Restart: Restart{Min: time.Hour, Max: time.Hour}, ExitHook: func(e Exit) { hooks.add("%v", e) }}, program{loads: time.Second, unable: "no"})
		require.Error(t, c.echo(t.Context(), ""))
		time.Sleep(time.Minute)
		require.Empty(t, hooks.all())
	})
}

func TestL2_11_IdleWorkersAreStoppedAtTheirDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{IdleTimeout: time.Minute})
		c.serves()
		start := time.Now()
		at(start, 30*time.Second)
		c.serves()
		at(start, 90*time.Second-1)
		require.Equal(t, []State{StateReady}, c.states())
		at(start, 90*time.Second)
		require.Equal(t, []State{StateStopped}, c.states())
		require.Equal(t, process.KillerIdle, c.proc(0).Report().Killer)
		require.EqualValues(t, 1, c.Snapshot().Counters.IdleStops)
		require.Zero(t, c.Snapshot().Counters.Deaths)
		c.serves()
		require.Len(t, c.launched(), 2, "the next call relaunches it at once")
	})
}
