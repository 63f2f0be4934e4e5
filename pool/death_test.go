package pool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

func TestP1_ViolationKillsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{deafToTERM: true, deafToEOF: true, handle: func(v *visit) (any, error) {
			v.print("debug: got here\n")
			<-v.Killed
			return nil, nil
		}}, program{})
		start := time.Now()
		e := asError(t, c.Call(t.Context(), "echo", "", nil, CallOptions{}))
		require.Equal(t, ClassInterrupted, e.Class)
		require.Equal(t, rpc.Unknown, e.Delivery)
		var violation *rpc.ProtocolError
		require.ErrorAs(t, e, &violation)
		require.ErrorContains(t, e, "debug: got here")
		synctest.Wait()
		require.Zero(t, time.Since(start))
		report := c.proc(0).Report()
		require.Equal(t, process.KILL, report.Signal)
		require.Equal(t, process.KillerViolation, report.Killer)
		require.EqualValues(t, 1, c.Snapshot().Counters.Deaths)
	})
}

func TestClosedStdoutStillRunning(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{CloseGrace: time.Second}, program{handle: func(v *visit) (any, error) {
			_ = v.Stdout.Close()
			return nil, nil
		}}, program{})
		start := time.Now()
		e := asError(t, c.Call(t.Context(), "echo", "", nil, CallOptions{}))
		require.Equal(t, patience, time.Since(start))
		require.ErrorContains(t, e, "closed its stdout, still running")
		require.Equal(t, ClassInterrupted, e.Class)
		synctest.Wait()
		report := c.proc(0).Report()
		require.Equal(t, killerMute, report.Killer)
		require.Zero(t, report.Code, "the end of its input was enough")
		require.EqualValues(t, 1, c.Snapshot().Counters.Deaths)
	})
}

func TestExitSoonAfterItsOutputEndedIsAnExit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{handle: func(v *visit) (any, error) {
			_ = v.Stdout.Close()
			v.sleep(patience - 1)
			v.quit(3)
			return nil, nil
		}})
		e := asError(t, c.Call(t.Context(), "echo", "", nil, CallOptions{}))
		var exit Exit
		require.ErrorAs(t, e, &exit)
		require.Equal(t, 3, exit.Report.Code)
		require.Empty(t, exit.Report.Killer)
	})
}

// TestP26_Goodbye: a worker that says goodbye finishes its calls and gets no others.
func TestP26_Goodbye(t *testing.T) {
	leave := func(v *visit) (any, error) {
		v.say(jsonLine{Goodbye: "enough"})
		v.sleep(10 * time.Second)
		return v.call.Args, nil
	}
	t.Run("its calls end in peace", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{}, program{inFlight: 2, deafToShutdown: true, handle: leave}, program{})
			one := c.ask(t.Context(), "", CallOptions{})
			two := c.ask(t.Context(), "", CallOptions{})
			require.True(t, c.Snapshot().Workers[0].Retiring)
			require.Equal(t, 1, c.Snapshot().Waiting, "the second waits for another, or the next generation")
			start := time.Now()
			require.NoError(t, one.result())
			require.Equal(t, 10*time.Second, time.Since(start))
			require.NoError(t, two.result())
			require.Equal(t, 10*time.Second, time.Since(start), "it had answered a call, so it is replaced at once; and it is not asked again to finish")
			require.Equal(t, killerGoodbye, c.proc(0).Report().Killer)
		})
	})
	t.Run("but not for ever", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{RetireGrace: 4 * time.Second}, program{handle: leave})
			start := time.Now()
			e := asError(t, c.Call(t.Context(), "echo", "", nil, CallOptions{}))
			require.Equal(t, 4*time.Second, time.Since(start))
			require.ErrorContains(t, e, "said goodbye")
			require.ErrorIs(t, e, ErrTransient)
		})
	})
	t.Run("of no use feeds the back-off", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrewOf(t, Options{Min: 1}, func(int) process.Func {
				return func(m *process.Memory) int {
					fmt.Fprint(m.Stdout, `{"hello":1}`+"\n"+`{"ready":true}`+"\n")
					time.Sleep(time.Millisecond)
					fmt.Fprint(m.Stdout, `{"goodbye":"no"}`+"\n")
					<-m.Killed
					return 0
				}
			})
			time.Sleep(time.Hour)
			require.Less(t, len(c.launched()), 75)
			require.Greater(t, len(c.launched()), 30)
		})
	})
	t.Run("before it is ready is a failed start", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrewOf(t, Options{StartHook: func(ctx context.Context, _ Conn) error { <-ctx.Done(); return context.Cause(ctx) }}, func(int) process.Func {
				return func(m *process.Memory) int {
					fmt.Fprint(m.Stdout, `{"hello":1}`+"\n"+`{"ready":true}`+"\n"+`{"goodbye":"no"}`+"\n")
					<-m.Killed
					return 0
				}
			})
			waiting := c.ask(t.Context(), "", CallOptions{})
			require.EqualValues(t, 1, c.Snapshot().Counters.BootFailures)
			require.False(t, waiting.over(), "one failure is none")
			require.ErrorContains(t, waiting.result(), "said goodbye before it was ready")
		})
	})
}

func TestP23_BootFailFast(t *testing.T) {
	three := 3
	t.Run("after three failures in a row", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{}, program{exits: &three, stderr: "cannot open /etc/worker.conf\n"})
			start := time.Now()
			e := asError(t, c.ask(t.Context(), "", CallOptions{}).result())
			require.Equal(t, 3*time.Second, time.Since(start), "attempts at 0, 1 and 3 s")
			require.Len(t, c.launched(), 3)
			require.Equal(t, ClassUnavailable, e.Class)
			require.Equal(t, rpc.NotSent, e.Delivery)
			require.True(t, Retryable(e))
			require.Equal(t, -1, e.Slot)
			require.Equal(t, "crew.echo: unavailable: worker did not become ready: exited with code 3 after 0s; no hello: EOF; next attempt in 4s; not executed; stderr: cannot open /etc/worker.conf", e.Error())
			var exit Exit
			require.ErrorAs(t, e, &exit)
			require.Equal(t, 3, exit.Report.Code)

			require.Error(t, c.echo(t.Context(), ""))
			require.Equal(t, 3*time.Second, time.Since(start), "and until the next attempt nobody waits")
			at(start, 7*time.Second)
			require.Len(t, c.launched(), 3, "nobody wants a worker")
			require.ErrorContains(t, c.echo(t.Context(), ""), "next attempt in 8s", "a caller is an attempt")
			require.Len(t, c.launched(), 4)
		})
	})
	t.Run("at once when the worker says so", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{}, program{unable: "no license"})
			start := time.Now()
			e := asError(t, c.Call(t.Context(), "echo", "", nil, CallOptions{}))
			require.Zero(t, time.Since(start))
			var unable *rpc.InitError
			require.ErrorAs(t, e, &unable)
			require.ErrorContains(t, e, "no license")
			require.Equal(t, ClassUnavailable, e.Class)
		})
	})
	for _, cause := range []error{fs.ErrNotExist, fs.ErrPermission} {
		t.Run("at once for "+cause.Error(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				launches := 0
				c := newCrew(t, Options{Start: func(process.Command, process.Options) (*process.Process, error) {
					launches++
					return nil, &process.StartError{Path: "worker", Err: cause}
				}})
				start := time.Now()
				require.ErrorIs(t, c.echo(t.Context(), ""), cause)
				require.Zero(t, time.Since(start))
				require.Equal(t, 1, launches)
				require.Equal(t, []State{StateStopped}, c.states())
			})
		})
	}
	t.Run("not for a launch that may work later", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			launches := 0
			c := newCrew(t, Options{Start: func(_ process.Command, po process.Options) (*process.Process, error) {
				if launches++; launches < 3 {
					return nil, errors.New("too many open files")
				}
				return process.StartFunc(program{}.run, po), nil
			}})
			c.serves()
			require.Equal(t, 3, launches)
		})
	})
	t.Run("not while another worker lives", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			held := newGate()
			c := newCrew(t, Options{Max: 2}, program{handle: held.handle}, program{unable: "no license"})
			running := c.ask(t.Context(), "", CallOptions{})
			waiting := c.ask(t.Context(), "", CallOptions{})
			require.NotZero(t, c.Snapshot().Counters.BootFailures)
			require.False(t, waiting.over())
			held.open()
			require.NoError(t, running.result())
			require.NoError(t, waiting.result())
		})
	})
	t.Run("but when the last one dies", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			held := newGate()
			c := newCrew(t, Options{Max: 2}, program{handle: held.handle}, program{unable: "no license"})
			c.ask(t.Context(), "", CallOptions{})
			waiting := c.ask(t.Context(), "", CallOptions{})
			c.crash(0)
			require.ErrorContains(t, waiting.result(), "no license")
		})
	})
}

func TestBoot_SelfRemedy(t *testing.T) {
	self := process.Command{Self: "indexer"}
	boot := func(t *testing.T, p program, o Options) string {
		o.Command = self
		c := newCrew(t, o, p)
		err := c.echo(t.Context(), "")
		require.Error(t, err)
		return err.Error()
	}
	zero := 0
	cases := []struct {
		name    string
		program program
		remedy  bool
	}{
		{"exits", program{exits: &zero}, true},
		{"says nothing", program{mute: true}, true},
		{"says why it cannot start", program{unable: "no license"}, false},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				text := boot(t, cs.program, Options{})
				if cs.remedy {
					require.Contains(t, text, selfRemedy)
				} else {
					require.NotContains(t, text, selfRemedy)
				}
			})
		})
	}
	t.Run("fails after its hello", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			text := boot(t, program{}, Options{StartHook: func(context.Context, Conn) error { return errors.New("cold") }})
			require.NotContains(t, text, selfRemedy)
		})
	})
}

func TestStillLoadingExtendsTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{StartTimeout: 10 * time.Second}, program{loading: 5, loads: 9 * time.Second})
		start := time.Now()
		c.serves()
		require.Equal(t, 54*time.Second, time.Since(start))
	})
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{StartTimeout: 10 * time.Second, Restart: Restart{Min: time.Hour, Max: time.Hour}}, program{loading: 1000, loads: 9 * time.Second})
		start := time.Now()
		waiting := c.ask(t.Context(), "", CallOptions{})
		at(start, 100*time.Second-1)
		require.Equal(t, []State{StateStarting}, c.states())
		at(start, 100*time.Second)
		require.NotEqual(t, []State{StateStarting}, c.states(), "ten times StartTimeout is the end")
		require.False(t, waiting.over())
	})
}

// TestExitInTheHook: a worker that dies under its start hook fails the start with the exit, at once.
func TestExitInTheHook(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{
			Restart: Restart{Min: time.Hour, Max: time.Hour},
			StartHook: func(ctx context.Context, conn Conn) error {
				return conn.Call(ctx, "warm up", nil, nil, rpc.CallOptions{})
			},
		}, program{handle: func(v *visit) (any, error) { v.quit(7); <-v.ctx.Done(); return nil, nil }})
		start := time.Now()
		waiting := c.ask(t.Context(), "", CallOptions{})
		time.Sleep(patience)
		require.Equal(t, []State{StateStopped}, c.states())
		require.EqualValues(t, 1, c.Snapshot().Counters.BootFailures)
		require.NoError(t, c.Stop(t.Context()))
		require.ErrorIs(t, waiting.result(), ErrStopping)
		require.Less(t, time.Since(start), time.Second)
	})
}

// TestHookLeavesACallBehind: its place stays taken until the worker has answered.
func TestHookLeavesACallBehind(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{StartHook: func(ctx context.Context, conn Conn) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_ = conn.Call(ctx, "warm up", nil, nil, rpc.CallOptions{})
			return nil
		}}, program{handle: func(v *visit) (any, error) {
			if v.call.Method == "warm up" {
				v.sleep(time.Minute)
			}
			return v.call.Args, nil
		}})
		start := time.Now()
		c.serves()
		require.Equal(t, time.Minute, time.Since(start))
	})
}

// TestLastAnswerCounts: what a worker has written before it died is delivered, and is a proof of its health however late it is seen.
func TestLastAnswerCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		slow := jsonLines{slow: time.Millisecond} // so that the exit is noticed before the answer has been read
		c := newCrew(t, Options{Dialect: slow}, program{once: true})
		start := time.Now()
		for range 50 {
			require.NoError(t, c.echo(t.Context(), "bye"))
		}
		require.Less(t, time.Since(start), time.Second, "each is replaced at once")
		require.Len(t, c.launched(), 50)
		require.Zero(t, c.Snapshot().Counters.BootFailures)
	})
}
