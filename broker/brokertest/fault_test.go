package brokertest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
)

// want is how a call fails.
type want struct {
	class     broker.Class
	delivery  broker.Delivery
	attempts  int   // 0: one
	is        error // for errors.Is; nil: nothing
	transient bool
	retryable bool
	text      string
}

func (w want) check(t *testing.T, err error) {
	t.Helper()
	var e *broker.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, w.class, e.Class, "%v", err)
	require.Equal(t, w.delivery, e.Delivery, "%v", err)
	require.Equal(t, max(w.attempts, 1), e.Attempts, "%v", err)
	require.Equal(t, w.transient, errors.Is(err, broker.ErrTransient), "%v", err)
	require.Equal(t, w.retryable, broker.Retryable(err), "%v", err)
	require.ErrorContains(t, err, w.text)
	if w.is != nil {
		require.ErrorIs(t, err, w.is)
	}
}

// Each error that a call can fail with, on demand, and the next call is served.
func TestEachClassOnDemand(t *testing.T) {
	var (
		unknown     = want{class: broker.ClassInterrupted, delivery: broker.Unknown, transient: true}
		unavailable = want{class: broker.ClassUnavailable, delivery: broker.NotSent, transient: true, retryable: true}
	)
	with := func(w want, change func(*want)) want {
		change(&w)
		return w
	}
	cases := []struct {
		name    string
		options broker.PoolOptions
		arrange func(b *brokertest.Broker)
		method  string // empty: echo
		in      any
		timeout time.Duration
		opts    []broker.CallOption
		want    want
	}{
		{
			name: "an unknown method", method: "nothing",
			want: want{class: broker.ClassCaller, delivery: broker.NotSent, text: `unknown method "nothing"; the worker has count, echo, fail, wait`},
		},
		{
			name: "arguments that do not fit", in: 3,
			want: want{class: broker.ClassCaller, delivery: broker.NotSent, text: "bad_args"},
		},
		{
			name: "an error of the handler", method: "fail",
			want: want{class: broker.ClassRemote, delivery: broker.Answered, text: "no luck"},
		},
		{
			name: "an answer",
			arrange: func(b *brokertest.Broker) {
				b.Pool("crew").Next("echo", 1, brokertest.Answer(errors.New("out of paper")))
			},
			want: want{class: broker.ClassRemote, delivery: broker.Answered, text: "failed: out of paper"},
		},
		{
			name: "the context while the call runs", timeout: 30 * time.Millisecond,
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("echo", 1, brokertest.Hang()) },
			want:    want{class: broker.ClassContext, delivery: broker.Unknown, is: context.DeadlineExceeded},
		},
		{
			name: "Timeout", opts: []broker.CallOption{broker.Timeout(30 * time.Millisecond)},
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("", 1, brokertest.Hang()) },
			want:    want{class: broker.ClassContext, delivery: broker.Unknown, is: context.DeadlineExceeded},
		},
		{
			name: "the context while the call waits", timeout: 30 * time.Millisecond,
			options: broker.PoolOptions{StartTimeout: 60 * time.Millisecond},
			arrange: func(b *brokertest.Broker) { b.Pool("crew").NextStart(1, brokertest.Hang()) },
			want:    want{class: broker.ClassContext, delivery: broker.NotSent, is: context.DeadlineExceeded, retryable: true},
		},
		{
			name: "CallTimeout", options: broker.PoolOptions{CallTimeout: 30 * time.Millisecond},
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("echo", 1, brokertest.Hang()) },
			want:    with(unknown, func(w *want) { w.is = broker.ErrCallTimeout }),
		},
		{
			name:    "an exit",
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("echo", 1, brokertest.Exit(7, "out of cheese\n")) },
			want:    with(unknown, func(w *want) { w.text = "exited with code 7 after" }),
		},
		{
			name:    "a signal",
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("echo", 1, brokertest.Killed(11, "")) },
			want:    with(unknown, func(w *want) { w.text = "killed by signal 11" }),
		},
		{
			name:    "garbage",
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("echo", 1, brokertest.Garbage("debug: here\n")) },
			want:    with(unknown, func(w *want) { w.text = "debug: here" }),
		},
		{
			name:    "interrupted, unknown",
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("echo", 1, brokertest.Interrupted(broker.Unknown)) },
			want:    with(unknown, func(w *want) { w.text = "may have been executed" }),
		},
		{
			name:    "interrupted, not executed",
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("echo", 1, brokertest.Interrupted(broker.NotSent)) },
			want: want{
				class: broker.ClassInterrupted, delivery: broker.NotSent, attempts: 4, transient: true, retryable: true, text: "not executed",
			},
		},
		{
			name:    "interrupted, not executed, though idempotent",
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("echo", 1, brokertest.Interrupted(broker.NotSent)) },
			opts:    []broker.CallOption{broker.Idempotent()},
			want: want{
				class: broker.ClassInterrupted, delivery: broker.NotSent, attempts: 11, transient: true, retryable: true, text: "not executed",
			},
		},
		{
			name:    "goodbye, again and again",
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("echo", 4, brokertest.Goodbye()) },
			want: want{
				class: broker.ClassInterrupted, delivery: broker.NotSent, attempts: 4, transient: true, retryable: true, text: "said goodbye",
			},
		},
		{
			name:    "an idempotent call that crashes its workers again and again",
			arrange: func(b *brokertest.Broker) { b.Pool("crew").Next("echo", 3, brokertest.Interrupted(broker.Unknown)) },
			opts:    []broker.CallOption{broker.Idempotent()},
			want:    with(unknown, func(w *want) { w.attempts, w.is, w.transient, w.text = 3, broker.ErrPoison, false, "crashed 3 workers" }),
		},
		{
			name:    "a worker that cannot start",
			arrange: func(b *brokertest.Broker) { b.Pool("crew").NextStart(1, brokertest.Answer(errors.New("no license"))) },
			want:    with(unavailable, func(w *want) { w.text = "no license" }),
		},
		{
			name:    "workers that exit at their start",
			arrange: func(b *brokertest.Broker) { b.Pool("crew").NextStart(3, brokertest.Exit(2, "no config\n")) },
			want:    with(unavailable, func(w *want) { w.text = "stderr: no config" }),
		},
		{
			name: "workers that say nothing", options: broker.PoolOptions{StartTimeout: 30 * time.Millisecond},
			arrange: func(b *brokertest.Broker) { b.Pool("crew").NextStart(3, brokertest.Hang()) },
			want:    with(unavailable, func(w *want) { w.text = "not ready within StartTimeout" }),
		},
		{
			name:    "a closed broker",
			arrange: func(b *brokertest.Broker) { _ = b.Close() },
			want:    want{class: broker.ClassCaller, delivery: broker.NotSent, is: broker.ErrClosed},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T) {
				b := newCrew(t, c.options)
				if c.arrange != nil {
					c.arrange(b)
				}
				ctx := t.Context()
				if c.timeout > 0 {
					limited, cancel := context.WithTimeout(ctx, c.timeout)
					defer cancel()
					ctx = limited
				}
				method, in := "echo", c.in
				if c.method != "" {
					method = c.method
				}
				if in == nil {
					in = "x"
				}
				var out string
				c.want.check(t, b.Call(ctx, "crew."+method, in, &out, c.opts...))
				if c.want.is == broker.ErrClosed {
					return
				}
				require.Eventually(t, func() bool { return b.Call(t.Context(), "crew.echo", "again", &out) == nil }, 10*time.Second, time.Millisecond)
				require.Equal(t, "again", out)
			})
		})
	}
}

// What a crash leaves behind for the caller.
func TestExitReport(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{})
		require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
		crew := b.Pool("crew")

		crew.Next("echo", 1, brokertest.Exit(7, "first\nlast words\n"))
		err := b.Call(t.Context(), "crew.echo", "x", nil)
		var exit broker.Exit
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 7, exit.Report.Code)
		require.EqualValues(t, 1, exit.Calls)
		require.Equal(t, "first\nlast words\n", exit.Report.StderrTail)
		require.ErrorContains(t, err, "stderr: first | last words")

		crew.Next("echo", 1, brokertest.Killed(9, "so long"))
		err = b.Call(t.Context(), "crew.echo", "x", nil)
		require.ErrorAs(t, err, &exit)
		require.EqualValues(t, 9, exit.Report.Signal)
		require.Empty(t, exit.Report.Killer, "nobody of ours")
		require.Equal(t, "so long", exit.Report.StderrTail)
	})
}

// The code and data of an error arrive, also where it takes several frames.
func TestAnswerKeepsCodeAndData(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{})
		message := strings.Repeat("much to say ", 40_000)
		for _, text := range []string{"short", message} {
			b.Pool("crew").Next("echo", 1, brokertest.Answer(&broker.RemoteError{Code: "quota", Message: text, Data: []byte{0x2a}}))
			err := b.Call(t.Context(), "crew.echo", "x", nil)
			var remote *broker.RemoteError
			require.ErrorAs(t, err, &remote)
			require.Equal(t, "quota", remote.Code)
			require.True(t, text == remote.Message)
			require.EqualValues(t, []byte{0x2a}, remote.Data)
		}
	})
}

func TestIdempotentCallsSurviveACrash(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{})
		b.Pool("crew").Next("echo", 2, brokertest.Interrupted(broker.Unknown))
		require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil, broker.Idempotent()))
		require.EqualValues(t, 2, b.Pool("crew").Snapshot().Retries)
	})
}

func TestGoodbyeCostsNothing(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{})
		require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
		b.Pool("crew").Next("", 1, brokertest.Goodbye())
		require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
		require.EqualValues(t, 1, b.Pool("crew").Snapshot().Retries)
		require.EqualValues(t, 2, b.Pool("crew").Snapshot().Counters.Started)
	})
}

// Full queues and the like need a pool that is busy. In a bubble synctest.Wait tells when it is.
func TestBusyPools(t *testing.T) {
	busy := func(t *testing.T, o broker.PoolOptions) (b *brokertest.Broker, running chan error) {
		b = newCrew(t, o)
		b.Pool("crew").Next("echo", 1, brokertest.Hang())
		running = make(chan error, 1)
		go func() { running <- b.Call(t.Context(), "crew.echo", "x", nil) }()
		synctest.Wait()
		require.Equal(t, 1, b.Pool("crew").Snapshot().Workers[0].InFlight)
		return b, running
	}
	unavailable := want{class: broker.ClassUnavailable, delivery: broker.NotSent, transient: true, retryable: true}
	t.Run("ErrQueueFull", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _ := busy(t, broker.PoolOptions{Queue: 1})
			go func() { _ = b.Call(t.Context(), "crew.echo", "x", nil) }()
			synctest.Wait()
			unavailable.is = broker.ErrQueueFull
			unavailable.check(t, b.Call(t.Context(), "crew.echo", "x", nil))
		})
	})
	t.Run("ErrQueueTimeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _ := busy(t, broker.PoolOptions{QueueTimeout: time.Minute})
			start := time.Now()
			unavailable.is = broker.ErrQueueTimeout
			unavailable.check(t, b.Call(t.Context(), "crew.echo", "x", nil))
			require.Equal(t, time.Minute, time.Since(start))
		})
	})
	t.Run("ErrStopping", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, running := busy(t, broker.PoolOptions{})
			waiting := make(chan error, 1)
			go func() { waiting <- b.Call(t.Context(), "crew.echo", "x", nil) }()
			synctest.Wait()
			start := time.Now()
			require.NoError(t, b.Pool("crew").Stop(t.Context()))
			require.Equal(t, 5*time.Second, time.Since(start), "StopGrace: it hangs")
			unavailable.is = broker.ErrStopping
			unavailable.check(t, <-waiting)
			want{class: broker.ClassRemote, delivery: broker.Answered, text: "cancelled"}.check(t, <-running)
			require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
		})
	})
	t.Run("ErrClosed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, running := busy(t, broker.PoolOptions{})
			start := time.Now()
			require.NoError(t, b.Close())
			require.Zero(t, time.Since(start), "it is told to cancel what runs")
			want{class: broker.ClassCaller, delivery: broker.Unknown, is: broker.ErrClosed}.check(t, <-running)
		})
	})
}
