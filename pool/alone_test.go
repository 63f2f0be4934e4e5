package pool

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// hall is what happens on the workers of a crew: who is where. Calls whose argument begins with "alone" must be. A call stays until it is let go,
// or for as long as its argument says. One of "mute" has its worker close its output.
type hall struct {
	t     *testing.T
	mu    sync.Mutex
	here  map[*session][]string
	doors map[string]chan struct{}
	order []string // in which they came
}

func newHall(t *testing.T) *hall {
	return &hall{t: t, here: map[*session][]string{}, doors: map[string]chan struct{}{}}
}

func (h *hall) program(places int) program { return program{inFlight: places, handle: h.handle} }

func (h *hall) handle(v *visit) (any, error) {
	var name string
	_ = json.Unmarshal(v.call.Args, &name)
	door := h.enter(v.session, name)
	defer h.exit(v.session, name)
	if name == "mute" {
		_ = v.Stdout.Close()
	}
	wait := time.Hour
	if _, d, ok := strings.Cut(name, " for "); ok {
		wait, _ = time.ParseDuration(d)
	}
	timer := time.NewTimer(max(wait, 1))
	defer timer.Stop()
	select {
	case <-door:
	case <-timer.C:
	case <-v.ctx.Done():
		return nil, v.ctx.Err()
	}
	return name, nil
}

func (h *hall) enter(s *session, name string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.here[s] = append(h.here[s], name)
	h.order = append(h.order, name)
	for _, other := range h.here[s] {
		if strings.HasPrefix(other, "alone") && len(h.here[s]) > 1 {
			h.t.Errorf("not alone: %v", h.here[s])
		}
	}
	return h.door(name)
}

func (h *hall) door(name string) chan struct{} {
	if h.doors[name] == nil {
		h.doors[name] = make(chan struct{})
	}
	return h.doors[name]
}

func (h *hall) exit(s *session, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, other := range h.here[s] {
		if other == name {
			h.here[s] = append(h.here[s][:i:i], h.here[s][i+1:]...)
			return
		}
	}
}

// letGo ends calls, one after the other.
func (h *hall) letGo(names ...string) {
	for _, name := range names {
		h.mu.Lock()
		close(h.door(name))
		h.mu.Unlock()
		synctest.Wait()
	}
}

// came says who has come so far.
func (h *hall) came() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.order...)
}

// free checks that no worker is held or busy.
func (c *crew) free() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Pool.mu.Lock()
	defer c.Pool.mu.Unlock()
	require.Zero(c.t, c.queue.length())
	for _, s := range c.slots {
		if s.worker != nil && s.worker.open {
			require.Equal(c.t, holdNone, s.worker.hold)
			require.Zero(c.t, s.worker.inFlight)
			require.NotNil(c.t, s.worker.next, "it is listed")
		}
	}
}

var asRepeated = CallOptions{Attempt: 2, Alone: true}

// inHall runs a test with a crew whose workers take three calls at a time.
func inHall(t *testing.T, o Options, test func(t *testing.T, h *hall, c *crew)) {
	inBubble(t, func(t *testing.T) {
		h := newHall(t)
		test(t, h, newCrew(t, o, h.program(3)))
	})
}

// A call that wants its worker alone gets an empty one at once, and all of its places, until it has ended at the worker. Then all are free again.
func TestAlone_TakesAllPlaces(t *testing.T) {
	inHall(t, Options{}, func(t *testing.T, h *hall, c *crew) {
		lone := c.ask(t.Context(), "alone", asRepeated)
		var others []*asked
		for i := range 4 {
			others = append(others, c.ask(t.Context(), fmt.Sprint("other ", i), CallOptions{}))
		}
		require.Equal(t, []string{"alone"}, h.came())
		require.Equal(t, 1, c.Snapshot().Workers[0].InFlight)
		h.letGo("alone")
		require.NoError(t, lone.result())
		require.Equal(t, []string{"alone", "other 0", "other 1", "other 2"}, sortedTail(h.came()))
		h.letGo("other 0", "other 1", "other 2", "other 3")
		for _, other := range others {
			require.NoError(t, other.result())
		}
		c.free()
	})
}

// sortedTail sorts all but the first: who gets places at one moment may come in any order.
func sortedTail(names []string) []string {
	for i := 1; i < len(names); i++ {
		for j := i; j > 1 && names[j] < names[j-1]; j-- {
			names[j], names[j-1] = names[j-1], names[j]
		}
	}
	return names
}

// Where no worker is empty one is held back from newcomers until it is: that with the fewest calls. The others serve everybody.
func TestAlone_HoldsOneWorkerBack(t *testing.T) {
	inHall(t, Options{Max: 2, Min: 2}, func(t *testing.T, h *hall, c *crew) {
		require.NoError(t, c.Ready(t.Context()))
		for i := range 3 {
			c.ask(t.Context(), fmt.Sprint("early ", i), CallOptions{}) // two on one worker, one on the other
		}
		lone := c.ask(t.Context(), "alone", asRepeated)
		c.ask(t.Context(), "late 0", CallOptions{}) // beside the two
		last := c.ask(t.Context(), "late 1", CallOptions{})
		require.Equal(t, []string{"early 0", "early 1", "early 2", "late 0"}, sortedTail(h.came()))
		shot := c.Snapshot()
		require.Equal(t, 2, shot.Waiting)
		require.Equal(t, 4, shot.Workers[0].InFlight+shot.Workers[1].InFlight)

		few := 0
		if shot.Workers[1].InFlight == 1 {
			few = 1
		}
		require.Equal(t, 1, shot.Workers[few].InFlight)
		h.letGo("early 0", "early 1", "early 2")
		require.Contains(t, h.came(), "alone")
		require.Contains(t, h.came(), "late 1")
		h.letGo("late 0", "late 1", "alone")
		require.NoError(t, lone.result())
		require.NoError(t, last.result())
		c.free()
	})
}

func TestAlone_WaitsInTheSnapshot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{}, program{handle: sleepy(time.Minute)})
		first := c.ask(t.Context(), "", CallOptions{})
		alone := c.ask(t.Context(), "", CallOptions{Attempt: 2, Alone: true})
		time.Sleep(time.Second)
		s := c.Snapshot()
		require.Equal(t, 1, s.Waiting)
		require.Equal(t, time.Second, s.OldestWait)
		require.NoError(t, first.result())
		require.NoError(t, alone.result())
	})
}

// A worker that becomes empty goes to who wants one alone, also if another one was held for it. That one is given back.
func TestAlone_AnyEmptyWorkerWillDo(t *testing.T) {
	inHall(t, Options{Max: 2, Min: 2}, func(t *testing.T, h *hall, c *crew) {
		require.NoError(t, c.Ready(t.Context()))
		c.ask(t.Context(), "a", CallOptions{})
		c.ask(t.Context(), "b", CallOptions{})
		c.ask(t.Context(), "alone", asRepeated)
		held := c.slots[1].worker
		if c.slots[0].worker.hold == holdEmptying {
			held = c.slots[0].worker
		}
		require.Equal(t, holdEmptying, held.hold)
		onHeld, other := "a", "b"
		h.mu.Lock()
		for s, names := range h.here {
			if s.PID == held.pid && names[0] == "b" {
				onHeld, other = "b", "a"
			}
		}
		h.mu.Unlock()
		h.letGo(other)
		require.Contains(t, h.came(), "alone")
		c.ask(t.Context(), "c", CallOptions{})
		require.Contains(t, h.came(), "c", "beside the one that it had to wait for")
		h.letGo("alone", onHeld, "c")
		c.free()
	})
}

// Those who want a worker alone come before all others, each in turn; the others are served as soon as there are none.
func TestAlone_OneAfterTheOther(t *testing.T) {
	inHall(t, Options{}, func(t *testing.T, h *hall, c *crew) {
		c.ask(t.Context(), "first", CallOptions{})
		c.ask(t.Context(), "alone 1", asRepeated)
		c.ask(t.Context(), "other", CallOptions{})
		c.ask(t.Context(), "again", CallOptions{Attempt: 2})
		c.ask(t.Context(), "alone 2", asRepeated)
		h.letGo("first", "alone 1", "alone 2")
		require.Equal(t, []string{"first", "alone 1", "alone 2"}, h.came()[:3])
		h.letGo("other", "again")
		require.Len(t, h.came(), 5)
		c.free()
	})
}

// Who leaves while a worker is held for it leaves nothing behind, however it leaves.
func TestAlone_Leaving(t *testing.T) {
	for name, leave := range map[string]func(cancel func(), c *crew){
		"canceled":      func(cancel func(), _ *crew) { cancel() },
		"queue timeout": func(func(), *crew) { time.Sleep(time.Minute - time.Second) },
	} {
		inHall(t, Options{QueueTimeout: time.Minute}, func(t *testing.T, h *hall, c *crew) {
			c.ask(t.Context(), "first", CallOptions{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			lone := c.ask(ctx, "alone", asRepeated)
			time.Sleep(time.Second)
			c.ask(t.Context(), "other", CallOptions{})
			require.Len(t, h.came(), 1)
			leave(cancel, c)
			require.Error(t, lone.result(), name)
			synctest.Wait()
			require.Equal(t, []string{"first", "other"}, h.came(), name)
			h.letGo("other", "first")
			c.free()
			require.NoError(t, c.Call(t.Context(), "echo", "x for 1s", nil, CallOptions{}))
		})
	}
}

// The end of a held worker, or of the pool, is no end of the waiting, or a prompt one.
func TestAlone_HeldWorkerEnds(t *testing.T) {
	inHall(t, Options{}, func(t *testing.T, h *hall, c *crew) {
		first := c.ask(t.Context(), "first", CallOptions{})
		c.ask(t.Context(), "second", CallOptions{Attempt: 2})
		c.ask(t.Context(), "third", CallOptions{Attempt: 2})
		c.ask(t.Context(), "other", CallOptions{Attempt: 2})
		lone := c.ask(t.Context(), "alone", asRepeated)
		c.crash(0)
		require.Error(t, first.result())
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"first", "second", "third", "alone"}, h.came(), "it comes first on the new worker, too")
		h.letGo("alone", "other")
		require.NoError(t, lone.result())
		c.free()

		again := c.ask(t.Context(), "again", CallOptions{})
		lone = c.ask(t.Context(), "alone", asRepeated)
		require.NoError(t, c.Stop(t.Context()))
		require.Error(t, again.result())
		require.ErrorIs(t, lone.result(), ErrStopping)
		c.free()
	})
	// Where there is another worker that one is held in its place.
	inHall(t, Options{Max: 2, Min: 2, Restart: Restart{Min: time.Hour, Max: time.Hour}}, func(t *testing.T, h *hall, c *crew) {
		require.NoError(t, c.Ready(t.Context()))
		for i := range 3 {
			c.ask(t.Context(), fmt.Sprint(i, " for 10s"), CallOptions{})
		}
		lone := c.ask(t.Context(), "alone for 1s", asRepeated)
		held := 0
		if c.slots[1].worker.hold == holdEmptying {
			held = 1
		}
		c.crash(c.launchOf(held))
		synctest.Wait()
		require.Equal(t, holdEmptying, c.slots[1-held].worker.hold)
		for i := 3; !lone.over() && i < 30; i++ { // newcomers without end
			c.ask(t.Context(), fmt.Sprint(i, " for 3s"), CallOptions{})
			time.Sleep(time.Second)
		}
		require.NoError(t, lone.result())
		time.Sleep(time.Hour)
		c.free()
	})
	inHall(t, Options{StopGrace: -1}, func(t *testing.T, _ *hall, c *crew) {
		c.ask(t.Context(), "first", CallOptions{})
		lone := c.ask(t.Context(), "alone", asRepeated)
		require.NoError(t, c.Close())
		require.ErrorIs(t, lone.result(), ErrClosed)
	})
}

// A worker with leases is not held: their holders may never let go, or wait for us. Another one is started if there is room.
func TestAlone_Leases(t *testing.T) {
	inHall(t, Options{}, func(t *testing.T, h *hall, c *crew) {
		l, err := c.Acquire(t.Context())
		require.NoError(t, err)
		lone := c.ask(t.Context(), "alone", asRepeated)
		require.NoError(t, c.Call(t.Context(), "echo", "of the holder for 1s", nil, CallOptions{}))
		require.False(t, lone.over())
		l.Release()
		synctest.Wait()
		require.Contains(t, h.came(), "alone")
		waiting := c.async(func() error {
			l, err := c.Acquire(context.Background())
			if err == nil {
				l.Release()
			}
			return err
		})
		require.False(t, waiting.over(), "no lease beside it")
		h.letGo("alone")
		require.NoError(t, waiting.result())
		c.free()
	})
	// A place that was taken before the worker was held may become a lease after it.
	inHall(t, Options{}, func(t *testing.T, h *hall, c *crew) {
		w, err := c.take(t.Context(), false)
		require.NoError(t, err)
		c.ask(t.Context(), "alone", asRepeated)
		other := c.ask(t.Context(), "other for 1s", CallOptions{})
		require.Empty(t, h.came())
		l := w.lease()
		require.NoError(t, other.result())
		l.Release()
		h.letGo("alone")
		c.free()
	})
	inHall(t, Options{Max: 2}, func(t *testing.T, _ *hall, c *crew) {
		l, err := c.Acquire(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.Call(t.Context(), "echo", "alone for 1s", nil, asRepeated))
		require.Len(t, c.launched(), 2)
		l.Release()
		c.free()
	})
}

// A worker whose connection has ended is given to nobody, neither alone nor when it is held no longer, before its owner has noticed.
func TestP18_LostWorkersAreNotHeld(t *testing.T) {
	p, w := benchPool(t, 3)
	_, err := p.take(t.Context(), false)
	require.NoError(t, err)
	var fx effects
	p.mu.Lock()
	defer p.mu.Unlock()
	_, lone, err := p.joinAlone(&fx)
	require.NoError(t, err)
	require.Equal(t, holdEmptying, w.hold)
	other := p.queue.join(false)

	close(w.conn.(lasting).done)
	p.queue.leave(lone)
	p.arrange(&fx)
	require.Nil(t, other.worker)
	require.Empty(t, fx)

	w.inFlight, w.hold = 0, holdNone
	w, lone, err = p.joinAlone(&fx)
	require.NoError(t, err)
	require.Nil(t, w)
	require.NotNil(t, lone.line)
}

// What a worker's end has to do with its calls.
func TestCrash_IsSharedOrAlone(t *testing.T) {
	crashOf := func(a *asked) Crash { return asError(t, a.result()).Crash }
	inHall(t, Options{Max: 1}, func(t *testing.T, _ *hall, c *crew) {
		one := c.ask(t.Context(), "one", CallOptions{})
		c.crash(0)
		require.Equal(t, CrashAlone, crashOf(one))

		time.Sleep(time.Minute / 2)
		one = c.ask(t.Context(), "one", CallOptions{})
		two := c.ask(t.Context(), "two", CallOptions{})
		c.crash(1)
		require.Equal(t, []Crash{CrashShared, CrashShared}, []Crash{crashOf(one), crashOf(two)})

		time.Sleep(time.Minute / 2)
		l, err := c.Acquire(t.Context())
		require.NoError(t, err)
		one = c.ask(t.Context(), "one", CallOptions{})
		c.crash(2)
		require.Equal(t, CrashShared, crashOf(one), "the holder of a lease was there")
		l.Release()

		time.Sleep(time.Minute / 2)
		l, err = c.Acquire(t.Context())
		require.NoError(t, err)
		one = c.ask(t.Context(), "mute", CallOptions{})
		require.Equal(t, CrashShared, crashOf(one), "likewise, although the lease ended when the output did")
		l.Release()

		time.Sleep(time.Minute / 2)
		one = c.ask(t.Context(), "mute", CallOptions{})
		require.Equal(t, CrashAlone, crashOf(one))

		time.Sleep(time.Minute / 2)
		one = c.ask(t.Context(), "one", CallOptions{})
		_ = c.Stop(t.Context())
		require.Equal(t, CrashNone, crashOf(one), "we ended it")
	})
	require.True(t, isCrash(process.KillerMemory))
	for _, ours := range []process.Killer{process.KillerCancel, process.KillerTimeout, process.KillerIdle, process.KillerReload, process.KillerRecycle, killerGoodbye} {
		require.False(t, isCrash(ours), ours)
	}
	require.False(t, (&Error{Class: ClassInterrupted, Delivery: rpc.Unknown, Err: ErrPoison}).Is(ErrTransient))
	require.Equal(t, "no crash, shared crash, crash alone, crash 9", fmt.Sprintf("%v, %v, %v, %v", CrashNone, CrashShared, CrashAlone, Crash(9)))
}

// Whatever happens in whatever order: nobody who is to be alone has company, everybody is served or told why not, and no place is lost.
func TestAlone_Random(t *testing.T) {
	for seed := range uint64(20) {
		inHall(t, Options{Max: 1 + int(seed%3), Restart: Restart{Min: time.Millisecond, Max: time.Millisecond}}, func(t *testing.T, _ *hall, c *crew) {
			random := rand.New(rand.NewPCG(seed, 14))
			var callers sync.WaitGroup
			for i := range 150 {
				name := fmt.Sprintf("%d for %dms", i, random.IntN(20))
				o := CallOptions{Attempt: 1 + random.IntN(2)}
				if random.IntN(3) == 0 {
					name, o = "alone "+name, asRepeated
				}
				leaves, leases := time.Hour, random.IntN(8) == 0
				if random.IntN(3) == 0 {
					leaves = time.Duration(1+random.IntN(40)) * time.Millisecond
				}
				callers.Go(func() { // ends with the call
					ctx, cancel := context.WithTimeout(t.Context(), leaves)
					defer cancel()
					if leases {
						if l, err := c.Acquire(ctx); err == nil {
							_ = l.Call(ctx, "echo", strings.TrimPrefix(name, "alone "), nil, CallOptions{})
							l.Release()
						}
						return
					}
					if err := c.Call(ctx, "echo", name, nil, o); err != nil {
						e := asError(t, err)
						require.NotEqual(t, ClassCaller, e.Class, "%v", err)
						require.True(t, leaves < time.Hour || e.Class == ClassInterrupted, "%v", err)
					}
				})
				time.Sleep(time.Duration(random.IntN(4)) * time.Millisecond)
				if random.IntN(12) == 0 {
					c.killOne(random)
				}
			}
			callers.Wait()
			time.Sleep(time.Second)
			c.free()
		})
	}
}

// killOne kills a worker that lives, if there is one.
func (c *crew) killOne(random *rand.Rand) {
	workers := c.Snapshot().Workers
	pid := workers[random.IntN(len(workers))].PID
	for _, p := range c.launched() {
		if p.PID() == pid {
			_ = p.Signal(process.KILL) // it may have ended
		}
	}
}
