package pool

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

func TestP14_NothingIsRetriedHere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var ran journal
		c := newCrew(t, Options{Max: 3}, program{handle: func(v *visit) (any, error) {
			ran.add("once")
			v.quit(1)
			<-v.over
			return nil, nil
		}})
		require.ErrorIs(t, c.echo(t.Context(), "poison"), ErrTransient)
		time.Sleep(time.Hour)
		require.Equal(t, []string{"once"}, ran.all())
	})
}

func TestP16_OneDeathHurtsOnlyItsOwnCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Max: 3}, program{handle: held.handle})
		var calls []*asked
		for range 5 {
			calls = append(calls, c.ask(t.Context(), "", CallOptions{}))
		}
		c.crash(1)
		synctest.Wait()
		require.True(t, calls[1].over())
		require.ErrorIs(t, calls[1].result(), ErrTransient)
		held.open()
		for i, call := range calls {
			if i != 1 {
				require.NoError(t, call.result(), "call %d", i)
			}
		}
	})
}

func TestP17_OneDeathOneReplacement(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Min: 4, Max: 8}, program{loads: time.Second})
		require.NoError(t, c.Ready(t.Context()))
		for _, victim := range []int{0, 1, 2} {
			before := len(c.launched())
			c.serves() // so that some worker is proven; the victim may not be
			c.crash(victim)
			time.Sleep(10 * time.Minute)
			require.Len(t, c.launched(), before+1)
			require.Equal(t, 4, c.Snapshot().ready())
		}
	})
	inBubble(t, func(t *testing.T) {
		// Callers wait, Min is short, and the back-off's time is over, all at once.
		held := newGate()
		c := newCrew(t, Options{Min: 1, Max: 8}, program{handle: held.handle}, program{loads: 5 * time.Second})
		c.ask(t.Context(), "", CallOptions{})
		c.crash(0)
		synctest.Wait()
		waiting := c.ask(t.Context(), "", CallOptions{})
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, c.launched(), 2)
		require.NoError(t, waiting.result())
		require.Len(t, c.launched(), 2)
	})
}

// TestP18_NoWorkForTheDying: from the first sign of its end on, a worker gets no calls.
func TestP18_NoWorkForTheDying(t *testing.T) {
	dying := func(how func(*visit)) program {
		return program{inFlight: 8, deafToShutdown: true, deafToEOF: true, deafToTERM: true, handle: func(v *visit) (any, error) {
			if v.call.Method == "die" {
				how(v)
				<-v.over
			}
			return v.call.Args, nil
		}}
	}
	ways := map[string]func(*visit){
		"closed stdout":   func(v *visit) { _ = v.Stdout.Close() },
		"goodbye":         func(v *visit) { v.say(jsonLine{Goodbye: "enough"}) },
		"violation":       func(v *visit) { v.print("Segmentation fault\n") },
		"exit, just then": func(v *visit) { v.quit(1) },
	}
	for name, how := range ways {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCrew(t, Options{RetireGrace: time.Hour}, dying(how), program{})
				c.serves()
				c.async(func() error { return c.Call(t.Context(), "die", "", nil, CallOptions{}) })
				for range 20 {
					c.echoesSoon(t)
				}
				require.LessOrEqual(t, c.Snapshot().Workers[0].Generation, uint64(2))
			})
		})
	}
	t.Run("on the ladder", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{IdleTimeout: time.Minute}, program{deafToShutdown: true, deafToEOF: true}, program{})
			c.serves()
			time.Sleep(time.Minute + time.Second)
			require.Equal(t, []State{StateStopping}, c.states())
			c.echoesSoon(t)
			require.EqualValues(t, 2, c.Snapshot().Workers[0].Generation)
		})
	})
}

// echoesSoon makes a call that must succeed, however long it waits.
func (c *crew) echoesSoon(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
	defer cancel()
	require.NoError(t, c.echo(ctx, "still there?"))
}

// TestP19_CapacityDoesNotDrift: after whatever happened to workers and callers, as many calls run at a time as there are places.
func TestP19_CapacityDoesNotDrift(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(9, 10))
		running, most := 0, 0
		var mu sync.Mutex
		c := newCrew(t, Options{Max: 3, Restart: Restart{Min: time.Millisecond, Max: time.Millisecond}}, program{inFlight: 2, handle: func(v *visit) (any, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			defer func() {
				mu.Lock()
				running--
				mu.Unlock()
			}()
			switch v.call.Method {
			case "exit":
				v.quit(1)
				<-v.over
			case "garbage":
				v.print("garbage\n")
				<-v.over
			default:
				v.sleep(20 * time.Millisecond)
			}
			return v.call.Args, nil
		}})
		var calls sync.WaitGroup
		for i := range 600 {
			method := "echo"
			switch {
			case i%40 == 39:
				method = "exit"
			case i%60 == 59:
				method = "garbage"
			}
			patienceOfCaller := time.Duration(1+random.IntN(100)) * time.Millisecond
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patienceOfCaller)
				defer cancel()
				_ = c.Call(ctx, method, "", nil, CallOptions{})
			})
			time.Sleep(time.Duration(random.IntN(8)) * time.Millisecond)
		}
		calls.Wait()
		time.Sleep(time.Minute)
		most = 0
		start := time.Now()
		for range 60 {
			calls.Go(func() { _ = c.Call(t.Context(), "echo", "", nil, CallOptions{}) })
		}
		calls.Wait()
		require.Equal(t, 6, most, "three workers with two places each")
		require.Equal(t, 200*time.Millisecond, time.Since(start), "all of them, all of the time")
		for _, w := range c.Snapshot().Workers {
			require.Zero(t, w.InFlight)
		}
	})
}

// TestP20_NoLockIsHeldOverUserCode: hooks, launches and log handlers may use the pool, and however long they take nobody else waits.
func TestP20_NoLockIsHeldOverUserCode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var c *crew
		looks := 0
		var mu sync.Mutex
		look := func() {
			mu.Lock()
			defer mu.Unlock()
			if c != nil {
				looks++
				c.Snapshot()
			}
		}
		slow := func() { look(); time.Sleep(time.Second); look() }
		created := newCrew(t, Options{
			Log:       slog.New(lookingHandler{func(slog.Record) { look() }}),
			StartHook: func(context.Context, Conn) error { slow(); return nil },
			ExitHook:  func(Exit) { slow() },
			Start: func(_ process.Command, po process.Options) (*process.Process, error) {
				slow()
				return process.StartFunc(program{}.run, po), nil
			},
		})
		mu.Lock()
		c = created
		mu.Unlock()
		start := time.Now()
		call := c.ask(t.Context(), "", CallOptions{})
		require.Zero(t, time.Since(start))
		c.Snapshot()
		require.Zero(t, time.Since(start), "the launch takes a second and holds up nobody")
		require.NoError(t, call.result())
		require.Equal(t, 2*time.Second, time.Since(start))
		require.NoError(t, c.Close())
		require.Greater(t, looks, 6)
	})
}

func TestP21_StartThatMissesItsTimeIsKilledAndReaped(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{StartTimeout: 10 * time.Second, CloseGrace: time.Second, KillGrace: time.Second},
			program{mute: true, deafToEOF: true, deafToTERM: true}, program{})
		start := time.Now()
		waiting := c.ask(t.Context(), "", CallOptions{})
		at(start, 12*time.Second-1)
		require.Equal(t, []State{StateStopping}, c.states())
		at(start, 12*time.Second)
		report := c.proc(0).Report()
		require.Equal(t, process.KILL, report.Signal)
		require.Equal(t, process.KillerStart, report.Killer)
		require.NoError(t, waiting.result(), "the slot is free for the next")
	})
}

func TestP22_TheHandshakesContextDoesNotKillTheWorker(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var hookCtx context.Context
		c := newCrew(t, Options{StartTimeout: time.Second, IdleTimeout: -1, StartHook: func(ctx context.Context, _ Conn) error { hookCtx = ctx; return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, c.echo(ctx, "hi"))
		cancel() // the context of the call that caused the start
		time.Sleep(time.Hour)
		c.serves()
		require.Len(t, c.launched(), 1)
		require.NoError(t, c.Close())
		require.Error(t, hookCtx.Err(), "it does not outlive the worker")
	})
}

// TestP24_BackOff: a program that dies all the time is started a few times an hour, not once a second.
func TestP24_BackOff(t *testing.T) {
	one := 1
	flapping := func(after time.Duration) func(int) process.Func {
		return func(int) process.Func {
			return func(m *process.Memory) int {
				s := program{}
				done := make(chan int, 1)
				go func() { done <- s.run(m) }()
				select {
				case <-time.After(after):
					_ = m.Stdin.Close()
					<-done
					return 1
				case code := <-done:
					return code
				}
			}
		}
	}
	cases := []struct {
		name        string
		run         func(int) process.Func
		most, least int
	}{
		{"never ready", func(int) process.Func { return program{exits: &one}.run }, 70, 55},
		{"ready for a second", flapping(time.Second), 70, 55},
		{"ready for 59 seconds", flapping(59 * time.Second), 36, 30},
		{"ready for a minute: healthy, replaced at once", flapping(time.Minute), 62, 60},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCrewOf(t, Options{Min: 1}, cs.run)
				time.Sleep(time.Hour)
				require.LessOrEqual(t, len(c.launched()), cs.most)
				require.GreaterOrEqual(t, len(c.launched()), cs.least)
			})
		})
	}
	t.Run("a worker that is of use is replaced at once", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{Min: 1})
			start := time.Now()
			for n := range 20 {
				c.serves()
				c.crash(n)
				synctest.Wait()
			}
			require.Zero(t, time.Since(start))
			require.Len(t, c.launched(), 21)
			require.EqualValues(t, 20, c.Snapshot().Counters.Deaths)
		})
	})
	t.Run("failing its first call is no proof of health", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{}, program{handle: func(v *visit) (any, error) { v.quit(1); <-v.over; return nil, nil }})
			start := time.Now()
			for range 5 {
				require.ErrorIs(t, c.echo(t.Context(), "boom"), ErrTransient)
			}
			require.Equal(t, 15*time.Second, time.Since(start).Round(time.Second), "1 + 2 + 4 + 8 seconds")
		})
	})
	t.Run("an answer is, also for the others", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			held := newGate()
			c := newCrew(t, Options{Max: 2}, program{exits: &one}, program{exits: &one}, program{handle: func(v *visit) (any, error) {
				if string(v.call.Args) == `"hold"` {
					return held.handle(v)
				}
				return v.call.Args, nil
			}}, program{exits: &one}, program{})
			c.serves()
			require.Len(t, c.launched(), 3)
			c.ask(t.Context(), "hold", CallOptions{})
			start := time.Now()
			c.serves()
			require.Equal(t, time.Second, time.Since(start), "the fourth failed to start, and the delay was the first again")
			require.Len(t, c.launched(), 5)
		})
	})
	t.Run("nor is being ready, but it breaks the row of boot failures", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{Min: 1}, program{exits: &one}, program{exits: &one}, program{}, program{exits: &one}, program{})
			time.Sleep(4 * time.Second)
			require.Equal(t, 1, c.Snapshot().ready())
			c.crash(2)
			time.Sleep(5 * time.Second)
			require.Len(t, c.launched(), 4)
			require.False(t, c.Snapshot().BackoffUntil.IsZero())
			c.serves() // waits, for the back-off and the next one
			require.Len(t, c.launched(), 5)
		})
	})
	t.Run("wanted ends do not feed it", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{IdleTimeout: time.Second, StartHook: func(context.Context, Conn) error { return nil }})
			for range 10 {
				c.serves()
				time.Sleep(2 * time.Second)
				require.Equal(t, []State{StateStopped}, c.states())
				require.True(t, c.Snapshot().BackoffUntil.IsZero())
			}
		})
	})
}

// TestP28_StartIsNotBoundByTheCallsTimeout: the caller leaves, the start goes on for the next.
func TestP28_StartIsNotBoundByTheCallsTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{StartTimeout: time.Minute, CallTimeout: time.Second}, program{loads: 30 * time.Second})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, c.echo(ctx, ""), context.DeadlineExceeded)
		c.serves()
		require.Equal(t, 30*time.Second, time.Since(start))
		require.Len(t, c.launched(), 1)
	})
}

// TestP33_NoStepAfterTheExit: when the process has gone in the middle of its ladder, the rungs to come are for nobody.
func TestP33_NoStepAfterTheExit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{IdleTimeout: -1, StopGrace: time.Second, CloseGrace: time.Second, KillGrace: time.Second}, program{deafToShutdown: true}, program{deafToShutdown: true, deafToEOF: true, deafToTERM: true})
		c.serves()
		start := time.Now()
		require.NoError(t, c.Stop(t.Context()))
		require.Equal(t, time.Second, time.Since(start))
		c.serves() // the slot's next process must not inherit the timers of the first
		at(start, time.Hour)
		require.ErrorIs(t, c.proc(0).Do(process.Kill), process.ErrExited)
		require.Zero(t, c.proc(1).Report().PID, "nobody has touched it")
		require.Zero(t, c.Snapshot().Counters.LateEvents)
	})
}

// TestP37_SecondStopUsesTheTimersOfTheFirst.
func TestP37_SecondStopUsesTheTimersOfTheFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{StopGrace: 10 * time.Second, CloseGrace: time.Second, KillGrace: time.Second}, program{deafToShutdown: true, deafToEOF: true, deafToTERM: true})
		c.serves()
		start := time.Now()
		c.async(func() error { return c.Stop(t.Context()) })
		at(start, 9*time.Second)
		require.NoError(t, c.Stop(t.Context()))
		require.Equal(t, 12*time.Second, time.Since(start))
	})
}

// TestP39_InternalErrorsAreLoud: what cannot happen is counted, logged, and seen by tests.
func TestP39_InternalErrorsAreLoud(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var loud []string
		c := newCrew(t, Options{onInternal: func(text string) { loud = append(loud, text) }})
		c.serves()
		w := c.slots[0].worker
		require.False(t, c.post(w, event{kind: evCreated}))
		require.Equal(t, []string{"slot ready: created"}, loud)
		w.freed()
		require.Equal(t, []string{"slot ready: created", "a place was given back twice"}, loud)
		require.EqualValues(t, 2, c.Snapshot().Counters.InternalErrors)
		require.Equal(t, []State{StateReady}, c.states(), "and change nothing")
		c.serves()
	})
}

func TestP15_ErrorsTellWhatHappened(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{handle: func(v *visit) (any, error) {
			switch v.call.Method {
			case "fail":
				return nil, errors.New("no_paper")
			case "overloaded":
				v.say(jsonLine{ID: v.call.ID, Error: rpc.CodeOverloaded, NotRun: true})
			case "unknown":
				v.say(jsonLine{ID: v.call.ID, Error: rpc.CodeUnknownMethod, NotRun: true})
			case "crash":
				v.quit(1)
				<-v.over
			}
			return v.call.Args, nil
		}})
		want := map[string]Class{"fail": ClassRemote, "overloaded": ClassInterrupted, "unknown": ClassCaller, "crash": ClassInterrupted}
		for method, class := range want {
			require.Equal(t, class, asError(t, c.Call(t.Context(), method, "", nil, CallOptions{})).Class, method)
			time.Sleep(time.Minute)
		}
	})
}
