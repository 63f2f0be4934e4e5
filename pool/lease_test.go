package pool

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// acquire takes a lease, which must be possible.
func (c *crew) acquire() *Lease {
	c.t.Helper()
	l, err := c.Acquire(context.Background())
	require.NoError(c.t, err)
	return l
}

// lcall makes a call on a lease on a goroutine of its own, and returns when it has come as far as it can.
func (c *crew) lcall(ctx context.Context, l *Lease, method string) *asked {
	return c.async(func() error { return l.Call(ctx, method, "", nil, CallOptions{}) })
}

func (l *Lease) isDone() bool {
	select {
	case <-l.Done():
		return true
	default:
		return false
	}
}

// requireLost checks that a lease is lost for good: its calls are not executed and say why.
func requireLost(t *testing.T, l *Lease, text string) {
	t.Helper()
	require.True(t, l.isDone())
	for range 2 {
		e := asError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}))
		require.ErrorIs(t, e, ErrLeaseLost)
		require.ErrorIs(t, e, ErrTransient)
		require.Equal(t, ClassInterrupted, e.Class)
		require.Equal(t, rpc.NotSent, e.Delivery)
		require.Equal(t, l.PID(), e.PID)
		require.ErrorContains(t, e, text)
	}
}

func TestLease_CallsGoToOneWorker(t *testing.T) {
	inEachDialect(t, Options{Max: 2}, 1, handle, func(t *testing.T, c *crew) {
		l := c.acquire()
		require.Equal(t, c.proc(0).PID(), l.PID())
		for range 3 {
			c.serves() // by the other worker
			require.NoError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}))
		}
		workers := c.Snapshot().Workers
		require.EqualValues(t, 3, workers[0].Calls)
		require.EqualValues(t, 3, workers[1].Calls)
		require.Equal(t, 1, workers[0].InFlight, "the place is kept between the calls")

		l.Release()
		require.Zero(t, c.Snapshot().Workers[0].InFlight)
	})
}

func TestLease_TakesOnePlace(t *testing.T) {
	inEachDialect(t, Options{}, 3, handle, func(t *testing.T, c *crew) {
		l := c.acquire()
		beside := []*asked{c.call(t.Context(), "slow"), c.call(t.Context(), "slow")}
		third := c.call(t.Context(), "echo")
		require.Equal(t, 1, c.Snapshot().Waiting)
		require.NoError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}), "a lease does not queue")
		require.False(t, third.over())
		l.Release()
		require.NoError(t, third.result(), "its place goes to the caller that waits")
		for _, call := range beside {
			require.NoError(t, call.result())
		}
	})
}

func TestLease_CallsRunOneAfterAnother(t *testing.T) {
	inEachDialect(t, Options{}, 8, handle, func(t *testing.T, c *crew) {
		start := time.Now()
		l := c.acquire()
		calls := []*asked{c.lcall(t.Context(), l, "slow"), c.lcall(t.Context(), l, "slow"), c.lcall(t.Context(), l, "slow")}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		e := asError(t, l.Call(ctx, "slow", "", nil, CallOptions{}))
		require.Equal(t, ClassContext, e.Class)
		require.Equal(t, rpc.NotSent, e.Delivery)
		for i, call := range calls {
			require.NoError(t, call.result())
			require.Equal(t, time.Duration(i+1)*time.Minute, time.Since(start).Round(time.Second))
		}
		l.Release()
	})
}

// P9: a call whose caller has left keeps the lease's turn, and after Release its place, until the worker has ended it.
func TestP9_LeaseWaitsForTheWorker(t *testing.T) {
	for _, released := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			c := nativeCrew(t, Options{CancelGrace: time.Hour}, 1, stubborn)
			l := c.acquire()
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			e := asError(t, l.Call(ctx, "late", "", nil, CallOptions{}))
			require.Equal(t, ClassContext, e.Class)
			require.Equal(t, rpc.Unknown, e.Delivery)
			atAbout(t, start, time.Second)

			var next *asked
			if released {
				l.Release()
				require.Equal(t, 1, c.Snapshot().Workers[0].InFlight)
				next = c.call(t.Context(), "echo")
			} else {
				next = c.lcall(t.Context(), l, "echo")
			}
			require.False(t, next.over())
			require.NoError(t, next.result())
			atAbout(t, start, 8*time.Second)
			require.Len(t, c.launched(), 1)
			l.Release()
			require.Zero(t, c.Snapshot().Workers[0].InFlight)
		})
	}
}

// A worker that does not end a lease's call is replaced like any other, and the call that waits for its turn is told.
func TestLease_StuckCallEndsTheWorker(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := nativeCrew(t, Options{}, 1, stubborn)
		l := c.acquire()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, l.Call(ctx, "deaf", "", nil, CallOptions{}), context.DeadlineExceeded)
		e := asError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}))
		require.ErrorIs(t, e, ErrLeaseLost)
		require.ErrorContains(t, e, "the lease's worker is gone: ")
		atAbout(t, start, 6*time.Second)
		synctest.Wait()
		requireLost(t, l, "stopped by us (cancel)")
		l.Release()
		c.serves()
	})
}

func TestLease_Release(t *testing.T) {
	inEachDialect(t, Options{}, 1, handle, func(t *testing.T, c *crew) {
		l := c.acquire()
		running := c.lcall(t.Context(), l, "slow")
		waiting := c.lcall(t.Context(), l, "echo")
		l.Release()
		l.Release()
		require.True(t, l.isDone())

		e := asError(t, waiting.result())
		require.ErrorIs(t, e, ErrReleased)
		require.Equal(t, ClassCaller, e.Class)
		require.Equal(t, rpc.NotSent, e.Delivery)
		require.False(t, Retryable(e))
		require.EqualError(t, e, "crew.echo: refused: the lease has been released; not executed")
		require.False(t, running.over(), "the call that runs goes on")
		require.Equal(t, 1, c.Snapshot().Workers[0].InFlight)

		require.NoError(t, running.result())
		synctest.Wait()
		require.Zero(t, c.Snapshot().Workers[0].InFlight)
		require.ErrorIs(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}), ErrReleased)
		l.Release()
		c.serves()
	})
}

func TestLease_CallThatIsNeverSentKeepsTheTurn(t *testing.T) {
	inEachDialect(t, Options{}, 1, handle, func(t *testing.T, c *crew) {
		l := c.acquire()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, l.Call(ctx, "echo", "", nil, CallOptions{}), context.Canceled)
		require.ErrorIs(t, l.Call(t.Context(), "echo", make(chan int), nil, CallOptions{}), rpc.ErrEncode)
		require.NoError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}))
		l.Release()
		require.Zero(t, c.Snapshot().Workers[0].InFlight)
	})
}

func TestLease_CallTimeoutBoundsEachCall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := nativeCrew(t, Options{CallTimeout: 2 * time.Second}, 1, stubborn)
		l := c.acquire()
		slow := c.lcall(t.Context(), l, "slow")
		start := time.Now()
		e := asError(t, l.Call(t.Context(), "obedient", "", nil, CallOptions{}))
		require.ErrorIs(t, e, ErrCallTimeout)
		atAbout(t, start, 3*time.Second) // it began when it got its turn
		require.NoError(t, slow.result())
		require.NoError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}))
		l.Release()
	})
}

func TestLease_LostByDeath(t *testing.T) {
	cases := map[string]struct {
		method string // that the lease is in the middle of; empty: none
		text   string
	}{
		"idle":     {"", "killed by signal 9"},
		"mid-call": {"exit", "exited with code 3"},
		"nonsense": {"print", "protocol violation"},
	}
	for name, cs := range cases {
		t.Run(name, func(t *testing.T) {
			inEachDialect(t, Options{}, 1, handle, func(t *testing.T, c *crew) {
				l := c.acquire()
				if cs.method == "" {
					c.crash(0)
				} else {
					e := asError(t, l.Call(t.Context(), cs.method, "", nil, CallOptions{}))
					require.Equal(t, ClassInterrupted, e.Class)
					require.Equal(t, rpc.Unknown, e.Delivery)
					require.NotErrorIs(t, e, ErrLeaseLost)
				}
				synctest.Wait()
				requireLost(t, l, cs.text)
				c.serves()
				require.NotEqual(t, l.PID(), c.proc(1).PID())
				requireLost(t, l, cs.text)
				l.Release()
				require.ErrorIs(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}), ErrReleased)
				require.Zero(t, c.Snapshot().Workers[0].InFlight, "the next worker's places are not the lease's")
			})
		})
	}
}

// After a goodbye an idle lease is of no use, so that nobody waits for its holder; a call that runs may end.
func TestLease_LostByGoodbye(t *testing.T) {
	inEachDialect(t, Options{}, 2, handle, func(t *testing.T, c *crew) {
		start := time.Now()
		l := c.acquire()
		require.NoError(t, c.Call(t.Context(), "leave", "", nil, CallOptions{}))
		synctest.Wait()
		c.serves()
		require.Less(t, time.Since(start), time.Second)
		require.Len(t, c.launched(), 2)
		requireLost(t, l, "said goodbye")
		l.Release()
		require.Zero(t, c.Snapshot().Workers[0].InFlight)
	})
}

// A call that runs while its worker says goodbye may end, within RetireGrace; workers of the native dialect say it when none is left.
func TestLease_CallThatRunsAtTheGoodbye(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrewOf(t, Options{Max: 2}, func(int) process.Func { return speakers[0].worker(2, handle) })
		start := time.Now()
		idle, busy := c.acquire(), c.acquire()
		require.Equal(t, idle.PID(), busy.PID())
		running := c.lcall(t.Context(), busy, "slow")
		require.NoError(t, idle.Call(t.Context(), "leave", "", nil, CallOptions{}))
		synctest.Wait()
		require.True(t, busy.isDone())
		at(start, 10*time.Second)
		require.False(t, running.over())
		require.True(t, c.Snapshot().Workers[0].Retiring)
		e := asError(t, running.result())
		require.Equal(t, 30*time.Second, time.Since(start).Round(time.Second), "RetireGrace")
		require.Equal(t, ClassInterrupted, e.Class)
		synctest.Wait()
		requireLost(t, busy, "said goodbye")
	})
}

// On a worker that retires for another's sake a lease counts as a call in flight: it may go on for RetireGrace, and holds the worker no longer.
func TestLease_OnARetiringWorker(t *testing.T) {
	for _, released := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			c := nativeCrew(t, Options{Max: 2}, 8, stubborn)
			l := c.acquire()
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			deaf := c.call(ctx, "deaf")
			at(start, 7*time.Second)
			require.ErrorIs(t, deaf.result(), context.DeadlineExceeded)
			require.True(t, c.Snapshot().Workers[0].Retiring)
			require.False(t, l.isDone())
			require.NoError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}))

			if released {
				l.Release()
				synctest.Wait()
				require.Equal(t, process.KillerCancel, c.proc(0).Report().Killer)
				return
			}
			at(start, 35*time.Second)
			require.NoError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}))
			<-l.Done()
			atAbout(t, start, 36*time.Second)
			synctest.Wait()
			requireLost(t, l, "cancel")
		})
	}
}

func TestLease_KeepsTheReaperAway(t *testing.T) {
	inEachDialect(t, Options{IdleTimeout: time.Minute}, 4, handle, func(t *testing.T, c *crew) {
		l := c.acquire()
		c.serves()
		time.Sleep(time.Hour)
		require.NoError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}))
		require.Len(t, c.launched(), 1)

		l.Release()
		start := time.Now()
		at(start, 59*time.Second)
		require.Equal(t, 1, c.Snapshot().ready())
		at(start, time.Minute)
		require.Equal(t, 0, c.Snapshot().ready())
	})
}

func TestLease_EndOfThePool(t *testing.T) {
	short := func(c *crew) func() error {
		return func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return c.Shutdown(ctx)
		}
	}
	cases := map[string]struct {
		end     func(*crew) func() error
		takes   time.Duration // with an idle lease
		class   Class         // of calls after it, and of the one that runs
		closed  bool
		atError bool
	}{
		"stop":     {func(c *crew) func() error { return func() error { return c.Stop(context.Background()) } }, 0, ClassInterrupted, false, false},
		"shutdown": {short, 10 * time.Second, ClassCaller, true, true},
		"close":    {func(c *crew) func() error { return c.Close }, 0, ClassCaller, true, false},
	}
	for name, cs := range cases {
		for _, busy := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inEachDialect(t, Options{}, 1, handle, func(t *testing.T, c *crew) {
					l := c.acquire()
					var running *asked
					if busy {
						running = c.lcall(t.Context(), l, "slow")
					}
					start := time.Now()
					err := cs.end(c)()
					require.Equal(t, cs.atError, err != nil, "%v", err)
					took := time.Since(start).Round(time.Second)
					if busy {
						require.LessOrEqual(t, took, cs.takes+5*time.Second, "StopGrace")
						e := asError(t, running.result())
						require.True(t, e.Class == cs.class || name == "stop" && e.Class == ClassRemote, "%v", e) // canceled by the end of the input
					} else {
						require.Equal(t, cs.takes, took)
					}
					synctest.Wait()
					e := asError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}))
					require.Equal(t, cs.class, e.Class)
					require.Equal(t, rpc.NotSent, e.Delivery)
					require.True(t, l.isDone())
					if cs.closed {
						require.ErrorIs(t, e, ErrClosed)
					} else {
						requireLost(t, l, "asked")
						c.serves()
					}
					l.Release()
					require.ErrorIs(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}), ErrReleased)
				})
			})
		}
	}
}

func TestLease_ShutdownServesLeases(t *testing.T) {
	inEachDialect(t, Options{}, 1, handle, func(t *testing.T, c *crew) {
		l := c.acquire()
		start := time.Now()
		shutdown := c.async(func() error { return c.Shutdown(context.Background()) })
		require.NoError(t, l.Call(t.Context(), "slow", "", nil, CallOptions{}))
		require.False(t, shutdown.over())
		_, err := c.Acquire(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		l.Release()
		require.NoError(t, shutdown.result())
		require.Equal(t, time.Minute, time.Since(start).Round(time.Second))
	})
}

func TestLease_AcquireFailsLikeACall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Queue: 1, QueueTimeout: time.Minute})
		l := c.acquire()
		start := time.Now()
		waiting := c.async(func() error { _, err := c.Acquire(t.Context()); return err })
		_, err := c.Acquire(t.Context())
		require.EqualError(t, asError(t, err), "crew.Acquire: unavailable: queue is full; not executed")
		require.True(t, Retryable(err))
		require.ErrorIs(t, waiting.result(), ErrQueueTimeout)
		require.Equal(t, time.Minute, time.Since(start))

		for _, wait := range []time.Duration{0, time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			_, err = c.Acquire(ctx)
			cancel()
			e := asError(t, err)
			require.ErrorIs(t, e, context.DeadlineExceeded)
			require.Equal(t, ClassContext, e.Class)
		}
		l.Release()
		require.Zero(t, c.Snapshot().Workers[0].InFlight, "nothing was taken for those that left")
	})
}

// However a lease's worker is lost, and whenever, the lease notices.
func TestLease_LostUnseen(t *testing.T) {
	losses := map[string]func(p *Pool, w *worker) *Lease{
		"between take and lease": func(p *Pool, w *worker) *Lease {
			_, err := p.take(context.Background(), false)
			require.NoError(t, err)
			close(w.conn.(lasting).done)
			return w.lease()
		},
		"by an exit after which the connection seems to go on": func(p *Pool, w *worker) *Lease {
			l, err := p.Acquire(context.Background())
			require.NoError(t, err)
			p.post(w, event{kind: evTerminated})
			return l
		},
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			p, err := New(Options{Max: 1, Start: noStart})
			require.NoError(t, err)
			w := readyWorker(p, 1)
			w.target = -1
			requireLost(t, lose(p, w), "gone")
			require.Zero(t, w.inFlight)
		})
	}
}

// A dialect that gives a place back twice is told of; the place is not multiplied.
func TestLease_PlaceGivenBackTwice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var internal []string
		c := newCrew(t, Options{onInternal: func(text string) { internal = append(internal, text) }})
		l := c.acquire()
		l.freed()
		require.Len(t, internal, 1)
		require.Equal(t, 1, c.Snapshot().Workers[0].InFlight)
		require.NoError(t, l.Call(t.Context(), "echo", "", nil, CallOptions{}))
		l.Release()
	})
}

// TestLease_Stress has callers of shared leases leave early, while others release them and workers die: a lease's calls never meet at a worker, and
// in the end every place is free again.
func TestLease_Stress(t *testing.T) {
	var mu sync.Mutex
	running := map[string]bool{}
	c := nativeCrew(t, Options{Max: 2, Restart: Restart{Min: time.Millisecond, Max: 2 * time.Millisecond}}, 3, func(j job) (any, error) {
		if j.method == "die" {
			j.exit(1)
		}
		mu.Lock()
		if running[j.arg] {
			t.Errorf("two calls of %s at once", j.arg)
		}
		running[j.arg] = true
		mu.Unlock()
		<-j.ctx.Done() // most leave at once
		mu.Lock()
		running[j.arg] = false
		mu.Unlock()
		return nil, j.ctx.Err()
	})
	var holders sync.WaitGroup
	for holder := range 8 {
		holders.Go(func() {
			for round := range 4 {
				name := string(rune('a'+holder)) + string(rune('0'+round))
				l, err := c.Acquire(context.Background())
				if err != nil {
					continue // it met a worker that has just died
				}
				var calls sync.WaitGroup
				for call := range 4 {
					calls.Go(func() {
						ctx, cancel := context.WithTimeout(context.Background(), time.Duration(holder+call)*50*time.Microsecond)
						defer cancel()
						method := "wait"
						if holder == 0 && round == 2 && call == 0 {
							method = "die"
						}
						_ = l.Call(ctx, method, name, nil, CallOptions{})
					})
				}
				if holder%2 == 0 {
					calls.Wait()
				}
				l.Release()
				calls.Wait()
			}
		})
	}
	holders.Wait()
	require.Eventually(t, func() bool {
		for _, w := range c.Snapshot().Workers {
			if w.InFlight != 0 || len(w.Leases) != 0 {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
}

// A worker says goodbye between the granting of a place to Acquire and the making of the lease. Nobody uses that place: the worker's end is not to
// wait for RetireGrace.
func TestLease_MadeAfterTheGoodbye(t *testing.T) {
	inEachDialect(t, Options{}, 2, handle, func(t *testing.T, c *crew) {
		c.serves()
		start := time.Now()
		w, err := c.take(t.Context(), false) // as Acquire does
		require.NoError(t, err)
		w.saidGoodbye("bye")
		synctest.Wait()
		l := w.lease()
		require.True(t, l.isDone())
		l.Release()
		c.serves() // by the next one
		require.Less(t, time.Since(start), time.Second)
	})
}
