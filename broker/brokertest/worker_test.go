package brokertest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
	"github.com/stdcrew/stdcrew/worker"
)

func TestNow(t *testing.T) {
	inHandler := func(t *testing.T, o broker.PoolOptions) (b *brokertest.Broker, running chan error) {
		b = newCrew(t, o)
		running = make(chan error, 1)
		go func() { running <- b.Call(t.Context(), "crew.wait", nil, nil) }()
		synctest.Wait()
		return b, running
	}
	t.Run("nobody is there", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			require.Zero(t, newCrew(t, broker.PoolOptions{}).Pool("crew").Now(brokertest.Exit(1, "")))
		})
	})
	t.Run("nobody is ready", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := brokertest.New(t, brokertest.Pools{"crew": {
				Handlers: handlers,
				Options:  broker.PoolOptions{Min: 1},
				Worker: worker.Options{Start: func(ctx context.Context) error { // the successor's, too, which the end of the test finds there or not
					select {
					case <-time.After(time.Minute):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}},
			}})
			synctest.Wait()
			require.Zero(t, b.Pool("crew").Now(brokertest.Goodbye()))
			require.NoError(t, b.Ready(t.Context()))
			require.Equal(t, 1, b.Pool("crew").Now(brokertest.Goodbye()))
		})
	})
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newCrew(t, broker.PoolOptions{Min: 2, Max: 2})
			require.NoError(t, b.Ready(t.Context()))
			require.Equal(t, 2, b.Pool("crew").Now(brokertest.Killed(11, "")))
			synctest.Wait()
			require.EqualValues(t, 2, b.Pool("crew").Snapshot().Counters.Deaths)
			require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
		})
	})
	t.Run("in a handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, running := inHandler(t, broker.PoolOptions{})
			require.Equal(t, 1, b.Pool("crew").Now(brokertest.Exit(3, "bye")))
			require.Zero(t, b.Pool("crew").Now(brokertest.Exit(3, "bye")), "it is gone")
			want{class: broker.ClassInterrupted, delivery: broker.Unknown, transient: true, text: "exited with code 3"}.check(t, <-running)
		})
	})
	t.Run("goodbye in a handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, running := inHandler(t, broker.PoolOptions{RetireGrace: time.Minute})
			b.Pool("crew").Now(brokertest.Goodbye())
			synctest.Wait()
			require.True(t, b.Pool("crew").Snapshot().Workers[0].Retiring)
			start := time.Now()
			require.ErrorContains(t, <-running, "cancel", "the worker is asked to end when RetireGrace is over")
			require.GreaterOrEqual(t, time.Since(start), time.Minute)
			require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
		})
	})
	t.Run("frozen", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, running := inHandler(t, broker.PoolOptions{CallTimeout: time.Second})
			b.Pool("crew").Now(brokertest.Freeze())
			want{class: broker.ClassInterrupted, delivery: broker.Unknown, transient: true, is: broker.ErrCallTimeout}.check(t, <-running)
			start := time.Now()
			require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
			require.GreaterOrEqual(t, time.Since(start), 10*time.Second, "CancelGrace, then KillGrace")
		})
	})
	t.Run("garbage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, running := inHandler(t, broker.PoolOptions{})
			b.Pool("crew").Now(brokertest.Garbage("printf"))
			want{class: broker.ClassInterrupted, delivery: broker.Unknown, transient: true, text: "printf"}.check(t, <-running)
		})
	})
}

// No handler gets what comes after a worker was frozen.
func TestTheFrozenDoNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		b := brokertest.New(t, brokertest.Pools{"crew": {
			Options: broker.PoolOptions{Max: 1, InFlight: 2},
			Handlers: func(w *brokertest.Worker) {
				brokertest.Handle(w, "run", func(context.Context, any) (int64, error) { return runs.Add(1), nil })
			},
		}})
		b.Pool("crew").Next("run", 1, brokertest.Freeze())
		for range 2 {
			require.Error(t, b.Call(t.Context(), "crew.run", nil, nil, broker.Timeout(time.Second)))
		}
		require.Zero(t, runs.Load())
		require.Equal(t, 1, b.Pool("crew").Now(brokertest.Killed(9, "")))
		synctest.Wait()
		require.NoError(t, b.Call(t.Context(), "crew.run", nil, nil))
	})
}

// A frozen worker costs neither Close its ladder nor the caller its patience.
func TestFrozenWorkersDoNotHoldUpTheEnd(t *testing.T) {
	begin := time.Now()
	t.Run("test", func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{})
		b.Pool("crew").Next("echo", 1, brokertest.Freeze())
		err := b.Call(t.Context(), "crew.echo", "x", nil, broker.Timeout(20*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	require.Less(t, time.Since(begin), 4*time.Second)
}

func TestFaultsMakeASequence(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{})
		crew := b.Pool("crew")
		call := func(method string) error { return b.Call(t.Context(), method, "x", nil) }
		crew.Next("echo", 2, brokertest.Fault{})
		crew.Next("echo", 1, brokertest.Answer(errors.New("third")))
		crew.Next("", -1, brokertest.Answer(errors.New("any")))
		require.ErrorContains(t, call("crew.count"), "any")
		require.NoError(t, call("crew.echo"))
		require.NoError(t, call("crew.echo"))
		require.ErrorContains(t, call("crew.echo"), "third")
		for range 5 {
			require.ErrorContains(t, call("crew.echo"), "any")
		}
		crew.Reset()
		require.NoError(t, call("crew.echo"))
	})
}

// Calls that are larger than a frame meet with faults, too, as a whole.
func TestFaultsOfLargeCalls(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{InFlight: 2})
		crew := b.Pool("crew")
		large := strings.Repeat("large", 1<<18)
		for _, f := range []brokertest.Fault{
			brokertest.Answer(errors.New("no")), brokertest.Exit(1, ""), brokertest.Interrupted(broker.NotSent),
		} {
			crew.Next("echo", 1, f)
			require.Error(t, b.Call(t.Context(), "crew.echo", large, nil), "%v", f)
			require.NoError(t, b.Call(t.Context(), "crew.echo", large, nil), "%v", f)
		}
		crew.Next("echo", 1, brokertest.Goodbye())
		require.NoError(t, b.Call(t.Context(), "crew.echo", large, nil))
		crew.Next("echo", 1, brokertest.Hang())
		require.Error(t, b.Call(t.Context(), "crew.echo", large, nil, broker.Timeout(50*time.Millisecond)))
		require.NoError(t, b.Call(t.Context(), "crew.echo", large, nil))
		require.Zero(t, crew.Snapshot().Counters.InternalErrors)
	})
}

func TestStarts(t *testing.T) {
	cases := []struct {
		fault brokertest.Fault
		text  string
	}{
		{brokertest.Exit(4, "no config"), "exited with code 4"},
		{brokertest.Killed(11, ""), "killed by signal 11"},
		{brokertest.Hang(), "not ready within StartTimeout"},
		{brokertest.Freeze(), "not ready within StartTimeout"},
		{brokertest.Answer(errors.New("no license")), "worker cannot start: no license"},
	}
	for _, c := range cases {
		t.Run(c.fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newCrew(t, broker.PoolOptions{})
				b.Pool("crew").NextStart(-1, c.fault)
				err := b.Call(t.Context(), "crew.echo", "x", nil)
				want{class: broker.ClassUnavailable, delivery: broker.NotSent, transient: true, retryable: true, text: c.text}.check(t, err)
				b.Pool("crew").Reset()
				require.Eventually(t, func() bool { return b.Call(t.Context(), "crew.echo", "x", nil) == nil }, time.Hour, time.Second)
			})
		})
	}
	t.Run("Garbage is noise", func(t *testing.T) {
		bothWays(t, func(t *testing.T) {
			b := newCrew(t, broker.PoolOptions{})
			b.Pool("crew").NextStart(1, brokertest.Garbage("loading…\n"))
			require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
			require.Zero(t, b.Pool("crew").Snapshot().Counters.BootFailures)
		})
	})
}

// What Worker says holds: a slow start, its failure, calls at a time.
func TestWorkerOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts := 0
		b := brokertest.New(t, brokertest.Pools{"crew": {
			Handlers: handlers,
			Options:  broker.PoolOptions{Max: 1, InFlight: 8},
			Worker: worker.Options{InFlight: 3, Start: func(context.Context) error {
				time.Sleep(30 * time.Second)
				if starts++; starts > 1 {
					return errors.New("once is enough")
				}
				return nil
			}},
		}})
		start := time.Now()
		require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
		require.Equal(t, 30*time.Second, time.Since(start))
		require.Equal(t, 3, b.Pool("crew").Snapshot().Workers[0].Places)
		b.Pool("crew").Now(brokertest.Exit(0, ""))
		synctest.Wait()
		require.ErrorContains(t, b.Call(t.Context(), "crew.echo", "x", nil), "once is enough")
	})
}

// The time of a bubble passes: idle workers go, back-off is waited for.
func TestTimeInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{IdleTimeout: time.Hour, Restart: broker.Restart{Min: time.Minute}})
		require.NoError(t, b.Call(t.Context(), "crew.count", nil, nil))
		time.Sleep(time.Hour + time.Second)
		require.EqualValues(t, 1, b.Pool("crew").Snapshot().Counters.IdleStops)

		out, err := broker.Call[int](t.Context(), b.Broker, "crew.count", nil)
		require.NoError(t, err)
		require.Equal(t, 1, out, "a new worker has a memory of its own")

		b.Pool("crew").NextStart(1, brokertest.Exit(1, ""))
		b.Pool("crew").Now(brokertest.Exit(1, ""))
		synctest.Wait()
		start := time.Now()
		require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
		require.InDelta(t, time.Minute, time.Since(start), float64(6*time.Second))
	})
}

// Shutdown waits for calls that run, also for one that hangs.
func TestShutdownWaitsForWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{InFlight: 2})
		b.Pool("crew").Next("echo", 1, brokertest.Hang())
		hangs := make(chan error, 1)
		go func() { hangs <- b.Call(t.Context(), "crew.echo", "x", nil, broker.Timeout(time.Minute)) }()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, b.Shutdown(t.Context()))
		require.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, <-hangs, context.DeadlineExceeded)
	})
}

// A worker that is asked to end finishes its calls first; a hanging one that is canceled then is the last of them.
func TestStopLetsAHangingCallEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{InFlight: 2})
		b.Pool("crew").Next("echo", 1, brokertest.Hang())
		hangs := make(chan error, 1)
		go func() { hangs <- b.Call(t.Context(), "crew.echo", "x", nil, broker.Timeout(2*time.Second)) }()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, b.Pool("crew").Stop(t.Context()))
		require.Equal(t, 2*time.Second, time.Since(start), "goodbye comes after the last call")
		want{class: broker.ClassContext, delivery: broker.Unknown, is: context.DeadlineExceeded}.check(t, <-hangs)
	})
}

// Handlers that do not heed their contexts are left behind by their process, as real ones are, and waited for at the end.
func TestDeafHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left atomic.Bool
		t.Cleanup(func() { require.True(t, left.Load(), "New's own cleanup comes first, and waits") })
		b := brokertest.New(t, brokertest.Pools{"crew": {
			Handlers: func(w *brokertest.Worker) {
				brokertest.Handle(w, "deaf", func(context.Context, any) (any, error) {
					time.Sleep(15 * time.Second)
					left.Store(true)
					return nil, nil
				})
			},
		}})
		start := time.Now()
		running := make(chan error, 1)
		go func() { running <- b.Call(t.Context(), "crew.deaf", nil, nil) }()
		synctest.Wait()
		require.NoError(t, b.Close(), "after StopGrace and CloseGrace it would be TERM; the worker has left after its ExitGrace")
		require.Equal(t, 6*time.Second, time.Since(start))
		require.ErrorIs(t, <-running, broker.ErrClosed)
		require.False(t, left.Load())
	})
}

// Many callers, crashes of all kinds: each call ends as one of the faults has it.
func TestManyAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{Max: 3, InFlight: 4})
		crew := b.Pool("crew")
		crew.Next("echo", 5, brokertest.Answer(errors.New("no")))
		crew.Next("echo", 2, brokertest.Exit(1, "boom"))
		crew.Next("count", 2, brokertest.Goodbye())
		crew.Next("count", 3, brokertest.Interrupted(broker.NotSent))
		var callers sync.WaitGroup
		for caller := range 6 {
			callers.Go(func() {
				for i := range 10 {
					method := []string{"crew.echo", "crew.count"}[(caller+i)%2]
					err := b.Call(t.Context(), method, fmt.Sprint(i), nil)
					var failed *broker.Error
					if err != nil && !errors.As(err, &failed) {
						t.Errorf("%s: %v", method, err)
					}
				}
			})
		}
		callers.Go(func() { crew.Now(brokertest.Goodbye()) })
		callers.Go(func() { crew.Now(brokertest.Exit(9, "")) })
		callers.Wait()
		crew.Reset()
		require.Eventually(t, func() bool { return b.Call(t.Context(), "crew.echo", "x", nil) == nil }, 10*time.Second, 5*time.Millisecond)
		require.Zero(t, crew.Snapshot().Counters.InternalErrors)
	})
}

// A call that is turned down says nothing of its worker, which goes on.
func TestTurnedDownByAWellWorker(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{Max: 1})
		crew := b.Pool("crew")
		crew.Next("echo", 1, brokertest.Interrupted(broker.NotSent))
		var failed *broker.Error
		require.ErrorAs(t, b.Call(t.Context(), "crew.echo", "x", nil), &failed)
		require.Equal(t, broker.ClassInterrupted, failed.Class)
		require.Equal(t, broker.NotSent, failed.Delivery)
		require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
		require.EqualValues(t, 1, crew.Snapshot().Counters.Started)
	})
}
