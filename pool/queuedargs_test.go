package pool

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

// TestQueued_ErrorsAreThoseOfAFreeWorker: a caller does not learn from its error whether it has waited.
func TestQueued_ErrorsAreThoseOfAFreeWorker(t *testing.T) {
	var number int
	cases := []struct {
		name, method string
		args, reply  any
		o            CallOptions
		want         string
	}{
		{name: "arguments that cannot be encoded", method: "echo", args: make(chan int), want: "caller, not executed"},
		{name: "the same again", method: "echo", args: make(chan int), o: CallOptions{Attempt: 2}, want: "caller, not executed"},
		{name: "no method", args: "", want: "caller, not executed"},
		{name: "a method name too long", method: strings.Repeat("m", 1000), want: "caller, not executed"},
		{name: "an unknown method", method: "nonsense", args: "", want: "caller, not executed"},
		{name: "an unknown method with much to say", method: "nonsense", args: strings.Repeat("x", 300<<10), want: "caller, not executed"},
		{name: "too large", method: "echo", args: strings.Repeat("x", 2<<20), want: "caller, not executed"},
		{name: "arguments that do not fit", method: "echo", args: 5, want: "caller, not executed"},
		{name: "a reply that does not fit", method: "echo", args: "text", reply: &number, want: "caller, answered"},
		{name: "the handler's error", method: "fail", args: "no_paper", want: "remote, answered"},
		{name: "none", method: "echo", args: "text", want: "ok"},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				held := make(chan struct{})
				c := newNativeCrew(t, Options{}, 1, func(ctx context.Context, r *rpc.Request) (any, error) {
					var text string
					if err := r.Decode(&text); err != nil {
						return nil, err
					}
					switch r.Method {
					case "fail":
						return nil, &rpc.RemoteError{Code: text, Message: "as you wish"}
					case "hold":
						<-held
					}
					return text, nil
				}, "echo", "fail", "hold")
				call := func() error { return c.Call(t.Context(), cs.method, cs.args, cs.reply, cs.o) }
				c.serves()
				free := call()
				hold := c.async(func() error { return c.Call(t.Context(), "hold", "", nil, CallOptions{}) })
				queued, after := c.async(call), c.ask(t.Context(), "after it", CallOptions{})
				require.False(t, queued.over(), "it waits its turn")
				close(held)
				require.Equal(t, outcome(t, free), outcome(t, queued.result()))
				require.True(t, strings.HasPrefix(outcome(t, free), cs.want), "%s", outcome(t, free))
				require.NoError(t, hold.result())
				require.NoError(t, after.result())
				synctest.Wait()
				c.settled()
				require.Len(t, c.launched(), 1)
			})
		})
	}
}

// TestQueued_ArgumentsArriveIntact, also those that are sent by their callers because they are not copied, or take several frames.
func TestQueued_ArgumentsArriveIntact(t *testing.T) {
	fill := func(n, seed int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i*31 + i>>8 + seed)
		}
		return b
	}
	for _, places := range []int{1, 3} {
		t.Run(fmt.Sprint(places), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				held := make(chan struct{})
				c := newNativeCrew(t, Options{Queue: 40}, places, func(ctx context.Context, r *rpc.Request) (any, error) {
					var got []byte
					err := r.Decode(&got)
					<-held
					return got, err
				})
				var calls []*asked
				for i := range places + 40 {
					args := fill([]int{1, 100, 16<<10 - 1, 16 << 10, 100 << 10, 256 << 10, 700 << 10}[i%7], i)
					calls = append(calls, c.async(func() error {
						var got []byte
						err := c.Call(t.Context(), "echo", args, &got, CallOptions{})
						if string(got) != string(args) {
							t.Errorf("call %d of %d bytes: got %d other bytes", i, len(args), len(got))
						}
						return err
					}))
				}
				require.Equal(t, 40, c.Snapshot().Waiting)
				require.ErrorIs(t, c.echo(t.Context(), ""), ErrQueueFull)
				close(held)
				for _, call := range calls {
					require.NoError(t, call.result())
				}
				synctest.Wait()
				c.settled()
			})
		})
	}
}

// TestQueued_ArgumentsAreTheCallersAgain when it has left, whatever becomes of the call.
func TestQueued_ArgumentsAreTheCallersAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSteps()
		c := newNativeCrew(t, Options{}, 1, s.serve)
		running := c.ask(t.Context(), "running", CallOptions{})
		for _, size := range []int{10, 20 << 10, 300 << 10} {
			ctx, cancel := context.WithCancel(t.Context())
			args := make([]byte, size)
			waiting := c.async(func() error { return c.Call(ctx, "echo", args, nil, CallOptions{}) })
			require.NotZero(t, c.preparedBytes())
			cancel()
			require.ErrorIs(t, waiting.result(), context.Canceled)
			clear(args) // the race detector looks
			require.Zero(t, c.preparedBytes())
		}
		s.next(1)
		require.NoError(t, running.result())
		synctest.Wait()
		c.settled()
	})
}

// TestQueued_MemoryIsBounded: those who come when many bytes wait are not prepared, and wait their turn all the same.
func TestQueued_MemoryIsBounded(t *testing.T) {
	const callers, big = 64, 200 << 10
	inBubble(t, func(t *testing.T) {
		s := newSteps()
		c := newNativeCrew(t, Options{}, 1, s.serve)
		var calls []*asked
		var want []string
		call := func(name string, size int) {
			calls = append(calls, c.ask(t.Context(), long(name, size), CallOptions{}))
			want = append(want, name)
			require.LessOrEqual(t, c.preparedBytes(), maxPrepared+2*big)
		}
		call("first", big)
		for i := range callers {
			call(fmt.Sprint(i), big)
		}
		full := c.preparedBytes()
		require.Greater(t, full, maxPrepared-big)
		call("late", 10)
		require.Equal(t, full, c.preparedBytes(), "no room for anything")

		leaves, cancel := context.WithCancel(t.Context())
		gone := c.ask(leaves, "gone", CallOptions{})
		cancel()
		require.ErrorIs(t, gone.result(), context.Canceled)
		require.Equal(t, full, c.preparedBytes(), "it took none")

		s.next(callers / 2)
		less := c.preparedBytes()
		require.Less(t, less, full)
		call("again", big)
		require.Greater(t, c.preparedBytes(), less, "there is room again")
		s.next(len(calls))
		for _, call := range calls {
			require.NoError(t, call.result())
		}
		require.Equal(t, strings.Join(want, " "), s.order())
		c.settled()
	})
}

// TestQueued_MemoryIsFreeAgain when those who wait leave, or are sent away.
func TestQueued_MemoryIsFreeAgain(t *testing.T) {
	ends := map[string]func(*crew, context.CancelFunc){
		"they leave":            func(_ *crew, leave context.CancelFunc) { leave() },
		"their patience ends":   func(*crew, context.CancelFunc) { time.Sleep(time.Hour) },
		"the pool is stopped":   func(c *crew, _ context.CancelFunc) { _ = c.Stop(context.Background()) },
		"a place for everybody": func(c *crew, _ context.CancelFunc) { require.NoError(c.t, c.Resize(context.Background(), 0, 33)) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSteps()
				c := newNativeCrew(t, Options{QueueTimeout: time.Hour, StopGrace: time.Second}, 2, s.serve)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var calls []*asked
				for range 66 {
					calls = append(calls, c.ask(ctx, long("call", 200<<10), CallOptions{}))
				}
				require.Greater(t, c.preparedBytes(), 3<<20)
				end(c, cancel)
				synctest.Wait()
				require.Zero(t, c.preparedBytes())
				require.Zero(t, c.Snapshot().Waiting)
				s.next(66)
				for _, call := range calls {
					_ = call.result()
				}
				for len(s.step) > 0 {
					<-s.step
				}
				s.next(1)
				c.serves()
			})
		})
	}
}

// TestQueued_MemoryIsBoundedWhoeverComesAtOnce: all join the queue before the first of them has encoded its call.
func TestQueued_MemoryIsBoundedWhoeverComesAtOnce(t *testing.T) {
	const size = 200 << 10
	p, err := New(Options{Max: 1, Start: noStart, Dialect: &native{}})
	require.NoError(t, err)
	readyWorker(p, 1)
	_, _, err = p.enter(false)
	require.NoError(t, err)
	var all []*waiter
	for range 64 {
		_, waiting, err := p.enter(false)
		require.NoError(t, err)
		all = append(all, waiting)
	}
	for _, waiting := range all {
		p.prepare(t.Context(), waiting, "echo", long("x", size), CallOptions{})
	}
	require.LessOrEqual(t, p.preparedBytes(), maxPrepared+2*size)
}
