package pool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// newNativeCrew makes a pool whose queued calls are prepared, for workers with so many places.
func newNativeCrew(t *testing.T, o Options, places int, serve rpc.HandlerFunc, methods ...string) *crew {
	t.Helper()
	o.Dialect = &native{}
	return newCrewOf(t, o, func(int) process.Func {
		return func(m *process.Memory) int {
			return serveNative(m, rpc.Hello{InFlight: places, Methods: methods, MaxMessage: 1 << 20}, serve)
		}
	})
}

// serveNative serves until its input ends, or it is killed. Handlers see the whole request.
func serveNative(m *process.Memory, hello rpc.Hello, serve rpc.HandlerFunc) int {
	peer, err := rpc.Announce(context.Background(), memoryStream{m}, rpc.WorkerOptions{Hello: hello, Handler: serve})
	if err != nil || peer.Ready() != nil {
		return 1
	}
	defer peer.Close()
	served := make(chan struct{})
	go func() { // ends with the connection
		defer close(served)
		_ = peer.Serve()
	}()
	select {
	case <-served:
	case <-m.Killed:
	}
	return 0
}

// steps is a handler that answers one call for each step, or all that come.
type steps struct {
	got  journal
	step chan struct{}
}

func newSteps() *steps { return &steps{step: make(chan struct{}, 1000)} }

func (s *steps) serve(ctx context.Context, r *rpc.Request) (any, error) {
	var text string
	if err := r.Decode(&text); err != nil {
		return nil, err
	}
	s.got.add("%s", name(text))
	select {
	case <-s.step:
		return text, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// next has n calls answered, one after the other.
func (s *steps) next(n int) {
	for range n {
		s.step <- struct{}{}
		synctest.Wait()
	}
}

func (s *steps) order() string { return strings.Join(s.got.all(), " ") }

// name is what a long argument begins with.
func name(text string) string { return strings.TrimSpace(text[:min(len(text), 8)]) }

// long is an argument of that name and size.
func long(name string, size int) string {
	return fmt.Sprintf("%-8s", name) + strings.Repeat("x", size-8)
}

// preparedBytes is how much the calls take that wait encoded.
func (p *Pool) preparedBytes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.prepared
}

// settled checks that nobody waits, and that every place is free and can be used.
func (c *crew) settled() {
	c.t.Helper()
	s := c.Snapshot()
	require.Zero(c.t, s.Waiting)
	require.Zero(c.t, c.preparedBytes())
	for _, w := range s.Workers {
		require.Zero(c.t, w.InFlight, "places of the worker in slot %d", w.Slot)
	}
	require.Zero(c.t, s.Counters.InternalErrors)
}

// outcome is all that a caller can learn from an error, but for the process's number.
func outcome(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return "ok"
	}
	e := asError(t, err)
	text := strings.ReplaceAll(e.Error(), fmt.Sprint(e.PID), "PID")
	return fmt.Sprintf("%v, %v, attempt %d, retryable %v: %s", e.Class, e.Delivery, e.Attempts, Retryable(e), text)
}

// grant gives the first in the queue a place that the worker has beyond those that the pool knows of, as whoever frees one does, and reports whether
// there was anybody. Others run in between for so many turns.
func (c *crew) grant(hops int) bool {
	p := c.Pool
	p.mu.Lock()
	w := p.slots[0].worker
	w.places++
	waiting := p.next(w)
	if waiting == nil {
		w.places--
		p.mu.Unlock()
		return false
	}
	v := waiting.verdict()
	p.mu.Unlock()
	for range hops {
		runtime.Gosched()
	}
	v.execute()
	return true
}

// withhold leaves the pool one place of the worker, which has none in use.
func (c *crew) withhold() {
	p := c.Pool
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.slots[0].worker
	p.ready.remove(w)
	w.places = 1
	p.ready.put(w)
}

func TestQueued_LeavingCallersLoseNoPlace(t *testing.T) {
	for _, places := range []int{1, 4} {
		t.Run(fmt.Sprint(places), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				random := rand.New(rand.NewPCG(seed, 0))
				c := newNativeCrew(t, Options{Max: 2}, places, func(_ context.Context, r *rpc.Request) (any, error) {
					var text string
					err := r.Decode(&text)
					time.Sleep(10 * time.Millisecond)
					return text, err
				})
				var all sync.WaitGroup
				var mu sync.Mutex
				served, most := 0, 0
				for i := range 400 * places {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(20))*10*time.Millisecond+time.Nanosecond)
					if random.IntN(2) == 0 {
						time.AfterFunc(time.Duration(random.IntN(20))*10*time.Millisecond, cancel)
					}
					text := fmt.Sprint(i)
					if random.IntN(50) == 0 {
						text = long(text, 300<<10) // which is sent by its caller
					}
					all.Go(func() {
						defer cancel()
						var got string
						if err := c.Call(ctx, "echo", text, &got, CallOptions{Attempt: 1 + i%2}); err != nil {
							if asError(t, err).Class != ClassContext {
								t.Error(err)
							}
							return
						}
						if got != text {
							t.Errorf("call %s was answered with %s", name(text), name(got))
						}
						mu.Lock()
						served++
						mu.Unlock()
					})
					most = max(most, c.preparedBytes())
					time.Sleep(time.Duration(random.IntN(2)) * 5 * time.Millisecond / time.Duration(places))
				}
				all.Wait()
				require.NotZero(t, most, "calls have been prepared")
				require.Greater(t, served, 100)
				time.Sleep(time.Second)
				c.settled()
				var now []*asked
				for range 2 * places {
					now = append(now, c.async(func() error { return c.echo(t.Context(), "all places") }))
				}
				require.Zero(t, c.Snapshot().Waiting)
				for _, call := range now {
					require.NoError(t, call.result())
				}
			})
		})
	}
}

func TestQueued_QueueTimeoutBeforeTheCallIsStarted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSteps()
		c := newNativeCrew(t, Options{QueueTimeout: 3 * time.Second}, 1, s.serve)
		running := c.ask(t.Context(), "running", CallOptions{})
		start := time.Now()
		waiting := c.ask(t.Context(), "waiting", CallOptions{})
		require.NotZero(t, c.preparedBytes())
		e := asError(t, waiting.result())
		require.Equal(t, 3*time.Second, time.Since(start))
		require.ErrorIs(t, e, ErrQueueTimeout)
		require.Equal(t, ClassUnavailable, e.Class)
		require.Equal(t, rpc.NotSent, e.Delivery)
		require.Zero(t, c.preparedBytes())
		s.next(1)
		require.NoError(t, running.result())
		require.Equal(t, "running", s.order())
		c.settled()
	})
}

func TestQueued_QueueTimeoutAfterTheCallIsStarted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSteps()
		c := newNativeCrew(t, Options{QueueTimeout: 3 * time.Second}, 1, s.serve)
		running := c.ask(t.Context(), "running", CallOptions{})
		waiting := c.ask(t.Context(), "waiting", CallOptions{})
		time.Sleep(time.Second)
		s.next(1)
		require.NoError(t, running.result())
		time.Sleep(time.Minute)
		require.False(t, waiting.over())
		s.next(1)
		require.NoError(t, waiting.result())
		c.settled()
	})
}

// TestQueued_WhoRunsOutOfPatienceWhileTheCallIsStarted: QueueTimeout and the place come in the same instant, in either order. Either the caller has
// left the queue, or the call goes on.
func TestQueued_WhoRunsOutOfPatienceWhileTheCallIsStarted(t *testing.T) {
	for _, size := range []int{10, 300 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { outOfPatience(t, size) })
	}
}

func outOfPatience(t *testing.T, size int) {
	inBubble(t, func(t *testing.T) {
		s := newSteps()
		c := newNativeCrew(t, Options{QueueTimeout: time.Second}, 10, s.serve)
		s.next(1)
		c.serves()
		served := 0
		for round := range 60 {
			c.withhold()
			running := c.ask(t.Context(), "running", CallOptions{})
			text := long("waiting", size)
			waiting := c.ask(t.Context(), text, CallOptions{})
			time.Sleep(time.Second)
			granted := c.grant(round % 4)
			synctest.Wait()
			require.Equal(t, !granted, waiting.over())
			s.next(2)
			require.NoError(t, running.result())
			if err := waiting.result(); granted {
				require.NoError(t, err)
				served++
			} else {
				require.ErrorIs(t, err, ErrQueueTimeout)
				<-s.step
			}
			synctest.Wait()
			c.settled()
		}
		require.NotZero(t, served)
	})
}

// TestQueued_WhoIsCanceledWhileTheCallIsStarted: the same with contexts. What the caller is told of the delivery is true.
func TestQueued_WhoIsCanceledWhileTheCallIsStarted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSteps()
		c := newNativeCrew(t, Options{}, 10, s.serve)
		s.next(1)
		c.serves()
		for round := range 60 {
			c.withhold()
			running := c.ask(t.Context(), "running", CallOptions{})
			ctx, cancel := context.WithCancel(t.Context())
			text := fmt.Sprint("w", round)
			if round%3 == 0 {
				text = long(text, 300<<10)
			}
			waiting := c.ask(ctx, text, CallOptions{})
			cancel()
			c.grant(round % 4)
			e := asError(t, waiting.result())
			require.Equal(t, ClassContext, e.Class)
			require.ErrorIs(t, e, context.Canceled)
			s.next(1)
			require.NoError(t, running.result())
			synctest.Wait()
			if strings.Contains(s.order(), name(text)) {
				require.Equal(t, rpc.Unknown, e.Delivery)
			}
			for len(s.step) > 0 {
				<-s.step
			}
			c.settled()
		}
	})
}

// TestQueued_CallTimeoutCountsFromTheWorker: no call is prepared, for the time in the queue is not the call's.
func TestQueued_CallTimeoutCountsFromTheWorker(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newNativeCrew(t, Options{CallTimeout: 10 * time.Second}, 1, func(ctx context.Context, r *rpc.Request) (any, error) {
			if r.Method == "hang" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			time.Sleep(6 * time.Second)
			return nil, nil
		})
		start := time.Now()
		var calls []*asked
		for range 3 {
			calls = append(calls, c.ask(t.Context(), "", CallOptions{}))
		}
		hangs := c.async(func() error { return c.Call(t.Context(), "hang", "", nil, CallOptions{}) })
		for i, call := range calls {
			require.NoError(t, call.result())
			require.Equal(t, time.Duration(i+1)*6*time.Second, time.Since(start))
		}
		e := asError(t, hangs.result())
		require.ErrorIs(t, e, ErrCallTimeout)
		require.Equal(t, ClassInterrupted, e.Class)
		require.Equal(t, 28*time.Second, time.Since(start))
		time.Sleep(time.Second)
		c.settled()
	})
}

// TestQueued_HandlersLearnWhatTheCallerSaid: what goes with the call is what would have gone without the queue, and its time is what is left of it.
func TestQueued_HandlersLearnWhatTheCallerSaid(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var seen string
		c := newNativeCrew(t, Options{}, 1, func(ctx context.Context, r *rpc.Request) (any, error) {
			left := time.Duration(0)
			if deadline, ok := ctx.Deadline(); ok {
				left = time.Until(deadline)
			}
			seen = fmt.Sprint(r.Method, " ", r.Attempt, " ", r.Metadata, " ", left)
			time.Sleep(4 * time.Second)
			return nil, nil
		})
		for _, o := range []CallOptions{{}, {Attempt: 3, Metadata: map[string]string{"trace": "17"}}} {
			for _, limit := range []time.Duration{0, 10 * time.Second, 100 * time.Hour} {
				running := c.ask(t.Context(), "", CallOptions{})
				ctx, cancel, left := t.Context(), context.CancelFunc(func() {}), time.Duration(0)
				if limit > 0 {
					ctx, cancel = context.WithTimeout(ctx, limit)
					left = limit - 4*time.Second
				}
				waiting := c.ask(ctx, "", o)
				require.NotZero(t, c.preparedBytes())
				require.NoError(t, running.result())
				require.NoError(t, waiting.result())
				cancel()
				require.Equal(t, fmt.Sprint("echo ", max(1, o.Attempt), " ", map[string]string(o.Metadata), " ", left), seen)
			}
		}
	})
}

// TestQueued_TheWorkerDies: those that have been started are cut short, those that wait get the next worker.
func TestQueued_TheWorkerDies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSteps()
		c := newNativeCrew(t, Options{}, 2, s.serve)
		var calls []*asked
		for i := range 7 {
			calls = append(calls, c.ask(t.Context(), fmt.Sprint(i), CallOptions{}))
		}
		s.next(2)
		require.Equal(t, "0 1 2 3", s.order())
		require.NotZero(t, c.preparedBytes())
		c.crash(0)
		synctest.Wait() // the dead worker's handlers take no further steps
		for i, call := range calls[:4] {
			err := call.result()
			if i < 2 {
				require.NoError(t, err)
				continue
			}
			e := asError(t, err)
			require.Equal(t, ClassInterrupted, e.Class)
			require.Equal(t, rpc.Unknown, e.Delivery)
			require.ErrorIs(t, e, ErrTransient)
			require.Equal(t, c.proc(0).PID(), e.PID)
			require.ErrorContains(t, e, "killed by signal 9 (KILL)")
		}
		s.next(3)
		for _, call := range calls[4:] {
			require.NoError(t, call.result())
		}
		require.ElementsMatch(t, strings.Fields("0 1 2 3 4 5 6"), s.got.all(), "each once; two begin at the same time")
		require.Len(t, c.launched(), 2)
		synctest.Wait()
		c.settled()
	})
}

// TestQueued_TheEndOfThePool: Close, Stop and Shutdown tell those who wait the same, prepared or not.
func TestQueued_TheEndOfThePool(t *testing.T) {
	ends := map[string]func(*crew) error{
		"close": (*crew).Close,
		"stop":  func(c *crew) error { return c.Stop(context.Background()) },
		"shutdown": func(c *crew) error {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			return c.Shutdown(ctx)
		},
	}
	want := map[string]error{"close": ErrClosed, "stop": ErrStopping, "shutdown": ErrClosed}
	for end, ends := range ends {
		t.Run(end, func(t *testing.T) {
			var ordinary, got []string
			scenario := func(t *testing.T, o Options) (all []string) {
				c := newNativeCrew(t, o, 1, func(ctx context.Context, _ *rpc.Request) (any, error) {
					time.Sleep(2 * time.Second)
					return nil, nil
				})
				var calls []*asked
				for i := range 4 {
					calls = append(calls, c.ask(t.Context(), "", CallOptions{Attempt: 1 + i%2}))
				}
				require.Equal(t, o.CallTimeout == 0, c.preparedBytes() > 0)
				c.async(func() error { return ends(c) })
				start := time.Now()
				for _, call := range calls {
					all = append(all, outcome(t, call.result()))
				}
				require.ErrorIs(t, calls[2].err, want[end], "the last in the queue")
				all = append(all, fmt.Sprint(time.Since(start)))
				time.Sleep(time.Minute)
				require.Zero(t, c.preparedBytes())
				return all
			}
			inBubble(t, func(t *testing.T) { ordinary = scenario(t, Options{CallTimeout: time.Hour}) })
			inBubble(t, func(t *testing.T) { got = scenario(t, Options{}) })
			require.Equal(t, ordinary, got)
		})
	}
}
