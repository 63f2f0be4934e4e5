package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// TestWait_Interleavings: a pool with one worker and one place. Words: "a" … a call comes, "A" a retried one; "-a" its caller leaves; "."
// the call that runs is answered; "end" everybody is served. What is expected are the calls in the order in which the worker gets them.
func TestWait_Interleavings(t *testing.T) {
	cases := []struct{ name, words, want string }{
		{"first come, first served", "a b c end", "a b c"},
		{"a newcomer joins the queue if there is one", "a b . c end", "a b c"},
		{"retried calls wait before all others", "a b c D end", "a D b c"},
		{"in their own order", "a b C D E end", "a C D E b"},
		{"who leaves is passed over", "a b c -b end", "a c"},
		{"the last one too", "a b c -c . d end", "a b d"},
		{"the head of the retried", "a b C D -C end", "a D b"},
		{"all leave", "a b c -b -c . d end", "a d"},
	}
	for _, cs := range cases {
		for _, s := range speakers {
			t.Run(cs.name+"/"+s.name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					var got journal
					step := make(chan struct{}, 100)
					worker := s.worker(1, func(j job) (any, error) {
						got.add("%s", j.arg)
						<-step
						return nil, nil
					})
					c := newCrewOf(t, Options{Dialect: s.dialect()}, func(int) process.Func { return worker })
					callers := map[string]context.CancelFunc{}
					for _, word := range strings.Fields(cs.words) {
						switch {
						case word == "end":
							close(step)
						case word == ".":
							step <- struct{}{}
						case word[0] == '-':
							callers[word[1:]]()
						default:
							ctx, cancel := context.WithCancel(t.Context())
							callers[word] = cancel
							c.ask(ctx, word, CallOptions{Attempt: 1 + strings.Count("ABCDE", word)})
						}
						synctest.Wait()
					}
					require.Equal(t, cs.want, strings.Join(got.all(), " "))
					for _, cancel := range callers {
						cancel()
					}
				})
			})
		}
	}
}

// TestWait_LeavingCallersLoseNoPlace: contexts end at the very moment when places are granted. Whoever gives up passes the place on.
func TestWait_LeavingCallersLoseNoPlace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(7, 8))
		c := newCrew(t, Options{Max: 2}, program{handle: func(v *visit) (any, error) {
			v.sleep(10 * time.Millisecond)
			return v.call.Args, nil
		}})
		var calls []*asked
		served := 0
		for range 500 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(20))*10*time.Millisecond+time.Nanosecond)
			defer cancel()
			call := &asked{done: make(chan struct{})}
			calls = append(calls, call)
			go func() {
				defer close(call.done)
				call.err = c.Call(ctx, "echo", "", nil, CallOptions{})
			}()
			time.Sleep(time.Duration(random.IntN(2)) * 5 * time.Millisecond)
		}
		for _, call := range calls {
			if err := call.result(); err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			} else {
				served++
			}
		}
		require.Greater(t, served, 100)
		time.Sleep(time.Second)
		for _, w := range c.Snapshot().Workers {
			require.Zero(t, w.InFlight)
		}
		c.serves()
	})
}

func TestWait_GrantedAndGoneAtOnce(t *testing.T) {
	// White box: the decision has been made when the caller wants to leave.
	p, err := New(Options{Name: "crew", Max: 1, Start: noStart})
	require.NoError(t, err)
	w := readyWorker(p, 1)
	got, err := p.take(context.Background(), false)
	require.NoError(t, err)
	require.Same(t, w, got)

	p.mu.Lock()
	waiting := p.queue.join(false)
	after := p.queue.join(false)
	p.mu.Unlock()
	w.freed() // decides for waiting
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		got, err = p.wait(ctx, waiting)
		if err != nil {
			break
		}
		// The select chose the place; give it back to the same waiter and try again.
		p.mu.Lock()
		p.queue.waiting.remove(after)
		waiting, after = p.queue.join(false), p.queue.join(false)
		p.mu.Unlock()
		w.freed()
	}
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, got)
	require.Same(t, w, after.worker, "the place went on to the next")
	require.Len(t, after.decided, 1)
}

func TestP12_QueueTimeoutHasItsOwnClock(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{QueueTimeout: 3 * time.Second, CallTimeout: time.Minute, StartTimeout: time.Hour}, program{
			handle: func(v *visit) (any, error) { <-v.ctx.Done(); return nil, v.ctx.Err() },
		})
		start := time.Now()
		running := c.ask(t.Context(), "", CallOptions{})
		waiting := c.ask(t.Context(), "", CallOptions{})
		e := asError(t, waiting.result())
		require.Equal(t, 3*time.Second, time.Since(start))
		require.ErrorIs(t, e, ErrQueueTimeout)
		require.ErrorIs(t, e, ErrTransient)
		require.Equal(t, ClassUnavailable, e.Class)
		require.True(t, Retryable(e))

		e = asError(t, running.result())
		require.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, e, ErrCallTimeout)
		require.NotErrorIs(t, e, context.DeadlineExceeded, "the caller's own context has not ended")
		require.Equal(t, ClassInterrupted, e.Class)
		require.False(t, Retryable(e))
	})
}

func TestQueueBound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Queue: 2}, program{handle: held.handle})
		var calls []*asked
		for range 3 {
			calls = append(calls, c.ask(t.Context(), "", CallOptions{}))
		}
		e := asError(t, c.Call(t.Context(), "echo", "", nil, CallOptions{}))
		require.ErrorIs(t, e, ErrQueueFull)
		require.Equal(t, ClassUnavailable, e.Class)
		require.True(t, Retryable(e))
		require.Equal(t, "crew.echo: unavailable: queue is full; not executed", e.Error())
		calls = append(calls, c.ask(t.Context(), "", CallOptions{Attempt: 2}))
		held.open()
		for _, call := range calls {
			require.NoError(t, call.result())
		}
	})
}

func TestQueueNegative_NobodyWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Queue: -1, Max: 2}, program{loads: time.Second, handle: held.handle})
		for n := range 2 {
			require.ErrorIs(t, c.echo(t.Context(), ""), ErrQueueFull)
			require.ErrorIs(t, c.echo(t.Context(), ""), ErrQueueFull)
			time.Sleep(time.Second)
			synctest.Wait()
			require.Len(t, c.launched(), n+1, "one is started for who comes next")
			call := c.ask(t.Context(), "", CallOptions{})
			require.False(t, call.over())
		}
		require.ErrorIs(t, c.echo(t.Context(), ""), ErrQueueFull)
		require.Len(t, c.launched(), 2)
		held.open()
	})
}

func TestQueueNegative_NobodyIsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		one := 1
		c := newCrew(t, Options{Queue: -1}, program{exits: &one})
		require.ErrorIs(t, c.echo(t.Context(), ""), ErrQueueFull)
		time.Sleep(time.Hour)
		require.Len(t, c.launched(), 1, "a start that failed is tried again when somebody comes")
	})
}

// TestPlacesAreLearned: what the last worker could do at a time is expected of the next.
func TestPlacesAreLearned(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Max: 4}, program{inFlight: 10, loads: time.Second})
		c.serves()
		require.NoError(t, c.Stop(t.Context()))
		var calls []*asked
		for range 10 {
			calls = append(calls, c.ask(t.Context(), "", CallOptions{}))
		}
		require.Len(t, c.launched(), 2)
		calls = append(calls, c.ask(t.Context(), "", CallOptions{}))
		require.Len(t, c.launched(), 3)
		for _, call := range calls {
			require.NoError(t, call.result())
		}
	})
}

func TestCancel(t *testing.T) {
	reason := errors.New("the user closed the window")
	t.Run("while waiting", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{}, program{loads: time.Hour})
			ctx, cancel := context.WithCancelCause(t.Context())
			call := c.ask(ctx, "", CallOptions{})
			cancel(reason)
			e := asError(t, call.result())
			require.ErrorIs(t, e, context.Canceled)
			require.ErrorIs(t, e, reason)
			require.Equal(t, ClassContext, e.Class)
			require.True(t, Retryable(e))
			require.NotErrorIs(t, e, ErrTransient)
			require.Zero(t, c.Snapshot().Waiting)
		})
	})
	t.Run("while running, the place stays taken", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{}, program{handle: func(v *visit) (any, error) {
				<-v.ctx.Done()
				time.Sleep(time.Minute)
				return nil, nil
			}})
			ctx, cancel := context.WithCancelCause(t.Context())
			start := time.Now()
			call := c.ask(ctx, "", CallOptions{})
			cancel(reason)
			e := asError(t, call.result())
			require.Zero(t, time.Since(start), "the caller does not wait for the worker")
			require.ErrorIs(t, e, context.Canceled)
			require.ErrorIs(t, e, reason)
			require.Equal(t, ClassContext, e.Class)
			require.Equal(t, rpc.Unknown, e.Delivery)
			require.False(t, Retryable(e))
			require.Equal(t, 1, c.Snapshot().Workers[0].InFlight)
			ctx, cancelNext := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancelNext()
			require.ErrorIs(t, c.echo(ctx, ""), context.DeadlineExceeded)
			time.Sleep(31 * time.Second)
			synctest.Wait()
			require.Zero(t, c.Snapshot().Workers[0].InFlight)
		})
	})
	t.Run("before it came", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{})
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			e := asError(t, c.Call(ctx, "echo", "", nil, CallOptions{}))
			require.ErrorIs(t, e, context.Canceled)
			require.Equal(t, rpc.NotSent, e.Delivery)
			synctest.Wait()
			require.Empty(t, c.launched())
		})
	})
}

// TestGet_FollowsTheTable: callers do not go through the machine, but fare as its table says.
func TestGet_FollowsTheTable(t *testing.T) {
	toStopped := func(*crew) {}
	toStarting := func(c *crew) { c.ask(c.t.Context(), "", CallOptions{}) }
	toReady := func(c *crew) { toStarting(c); time.Sleep(time.Second); synctest.Wait() }
	stop := func(c *crew) { c.async(func() error { return c.Stop(c.t.Context()) }) }
	cases := []struct {
		name  string
		state State
		reach func(*crew)
		want  action
	}{
		{"stopped", StateStopped, toStopped, actQueue},
		{"starting", StateStarting, toStarting, actQueue},
		{"ready", StateReady, toReady, actAnswer},
		{"stopping, by the pool's stop", StateStopping, func(c *crew) { toReady(c); stop(c) }, actRefuse},
		{"stopping, by its own", StateStopping, func(c *crew) { toReady(c); time.Sleep(time.Minute); synctest.Wait() }, actQueue},
		{"waiting_ready", StateWaitingReady, func(c *crew) { toStarting(c); stop(c) }, actRefuse},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				held := newGate()
				c := newCrew(t, Options{IdleTimeout: time.Minute}, program{loads: time.Second, deafToShutdown: true, handle: func(v *visit) (any, error) {
					if string(v.call.Args) == `"probe"` {
						return held.handle(v)
					}
					return nil, nil
				}})
				cs.reach(c)
				require.Equal(t, []State{cs.state}, c.states())
				waiting := c.Snapshot().Waiting
				launched := len(c.launched())
				probe := c.ask(t.Context(), "probe", CallOptions{})
				got := actAnswer
				switch {
				case probe.over():
					require.ErrorIs(t, probe.result(), ErrStopping)
					got = actRefuse
				case c.Snapshot().Waiting > waiting:
					got = actQueue
				}
				require.Equal(t, cs.want, got)
				require.Equal(t, cs.state == StateStopped, len(c.launched()) > launched, "launched only from stopped")
				if cell := table[evGet][cs.state]; cell.note == "" {
					require.Contains(t, cell.do, got)
				} else {
					require.True(t, got == actQueue || slices.Contains(cell.do, got), "the table allows for it")
				}
			})
		})
	}
}

// TestChoice: fewest calls in flight, then most recently used.
func TestChoice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{Min: 3}, program{inFlight: 2, handle: held.handle})
		require.NoError(t, c.Ready(t.Context()))
		load := func() string {
			var n []int
			for _, w := range c.Snapshot().Workers {
				n = append(n, w.InFlight)
			}
			return fmt.Sprint(n)
		}
		for range 3 {
			c.ask(t.Context(), "", CallOptions{})
		}
		require.Equal(t, "[1 1 1]", load())
		for range 3 {
			c.ask(t.Context(), "", CallOptions{})
		}
		require.Equal(t, "[2 2 2]", load())
		c.ask(t.Context(), "", CallOptions{})
		require.Equal(t, 1, c.Snapshot().Waiting)
		held.open()
		synctest.Wait()

		c.serves()
		calls := make([]uint64, 3)
		for i, w := range c.Snapshot().Workers {
			calls[i] = w.Calls
		}
		for range 10 {
			c.serves()
		}
		changed := 0
		for i, w := range c.Snapshot().Workers {
			if w.Calls != calls[i] {
				changed++
			}
		}
		require.Equal(t, 1, changed, "one after the other all go to the same worker, so the others go idle")
	})
}

// TestWait_SaysWhyNoWorkerCame: that a caller has run out of patience explains nothing where no worker starts.
func TestWait_SaysWhyNoWorkerCame(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		three := 3
		c := newCrew(t, Options{Min: 1, QueueTimeout: 500 * time.Millisecond, Restart: Restart{Min: time.Minute, Max: time.Minute}}, program{exits: &three})
		err := c.echo(t.Context(), "")
		require.ErrorIs(t, err, ErrQueueTimeout)
		require.ErrorContains(t, err, "no worker was free within QueueTimeout (500ms); the last worker did not become ready: exited with code 3")
		var exit Exit
		require.False(t, errors.As(err, &exit), "no process has cut the call short")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = c.Ready(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "is not ready: context deadline exceeded; the last worker did not become ready: exited with code 3")
	})
}
