package pool

import (
	"context"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// subscribed says how many subscriptions a pool has.
func (c *crew) subscribed() int {
	synctest.Wait()
	c.Pool.mu.Lock()
	defer c.Pool.mu.Unlock()
	return len(c.subscribers)
}

// liveOnce has a worker started, serve a call, and die: three events.
func (c *crew) liveOnce() {
	c.serves()
	c.crash(len(c.launched()) - 1)
	synctest.Wait()
}

// TestEvents_ASlowSubscriber misses the oldest events, learns how many, and holds up nobody.
func TestEvents_ASlowSubscriber(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{EventBuffer: 3})
		slow, fast := c.Events(t.Context()), c.listen()
		for range 50 {
			c.liveOnce()
		}
		require.Len(t, fast.all(), 150)
		require.NoError(t, c.Close())
		var got []Event
		for e := range slow {
			got = append(got, e)
		}
		require.Len(t, got, 3)
		require.EqualValues(t, 149, got[0].Dropped)
		require.EqualValues(t, 150, got[0].Seq)
		require.Equal(t, EventPoolClosed, got[2].Kind, "how things stand is known")
		require.Zero(t, got[1].Dropped+got[2].Dropped)
		for _, e := range fast.all() {
			require.Zero(t, e.Dropped)
		}
	})
}

func TestEvents_DroppedIsWhatWasMissedBetweenTwo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{EventBuffer: 2})
		c.liveOnce()
		next, stop := iter.Pull(c.Events(t.Context()))
		defer stop()
		for range 2 {
			c.liveOnce()
			for i, want := range []uint64{1, 0} {
				e, ok := next()
				require.True(t, ok)
				require.Equal(t, want, e.Dropped, "event %d", i)
			}
		}
	})
}

func TestEvents_Subscriptions(t *testing.T) {
	count := func(events iter.Seq[Event]) (n int) {
		for range events {
			n++
		}
		return n
	}
	t.Run("ends with its loop", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{})
			events := c.Events(t.Context())
			require.Equal(t, 1, c.subscribed())
			c.serves()
			for e := range events {
				require.Equal(t, EventStarted, e.Kind)
				break
			}
			require.Zero(t, c.subscribed())
			require.Zero(t, count(events), "it was for one loop")
		})
	})
	t.Run("ends with its context", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{})
			ctx, cancel := context.WithCancel(t.Context())
			events, unused := c.Events(ctx), c.Events(ctx)
			loop := c.async(func() error { count(events); return nil })
			require.Equal(t, 2, c.subscribed())
			cancel()
			<-loop.done
			require.Zero(t, c.subscribed(), "also where nobody listens")
			require.Zero(t, count(unused))
			c.serves()
			require.Zero(t, count(c.Events(ctx)))
			require.Zero(t, c.subscribed())
		})
	})
	t.Run("ends with the pool", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{})
			before := c.Events(t.Context())
			require.NoError(t, c.Close())
			require.Zero(t, c.subscribed())
			require.Equal(t, 2, count(before), "what was told is still to be had")
			require.Zero(t, count(c.Events(t.Context())), "there is nothing more to tell")
			require.Zero(t, c.subscribed())
		})
	})
	t.Run("a loop that calls the pool", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{})
			events := c.Events(t.Context())
			c.serves()
			n := 0
			for e := range events {
				n++
				c.Snapshot()
				if e.Kind == EventReady {
					require.NoError(t, c.Close(), "nothing is held while an event is looked at")
				}
			}
			require.Equal(t, 6, n)
		})
	})
}

func TestEvents_OfSeveralPools(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b, over := newCrew(t, Options{Name: "a", EventBuffer: 1}), newCrew(t, Options{Name: "b", EventBuffer: 3}), newCrew(t, Options{Name: "over", EventBuffer: 1})
		require.NoError(t, over.Close())
		a.serves()
		events := Events(t.Context(), a.Pool, b.Pool, over.Pool)
		b.serves()
		require.NoError(t, a.Close())
		require.Equal(t, 1, b.subscribed())
		require.NoError(t, b.Close())
		var got []string
		dropped := map[string]uint64{}
		for e := range events {
			got = append(got, e.Pool+" "+word(e))
			dropped[e.Pool] += e.Dropped
		}
		require.Equal(t, []string{"a pool_closed", "b pool_closing", "b stopping(shutdown)", "b exited(shutdown)", "b pool_closed"}, got)
		require.Equal(t, map[string]uint64{"a": 3, "b": 2}, dropped, "since the subscription")
		for range Events(t.Context()) {
			require.Fail(t, "no pool has events")
		}
	})
}

// TestEvents_CostNothingWithoutSubscribers: nothing is allocated, and no more is done than to count.
func TestEvents_CostNothingWithoutSubscribers(t *testing.T) {
	p, err := New(Options{Start: noStart})
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() { p.tellPool(Event{Kind: EventBackoff, Delay: time.Second}) }))
	require.NoError(t, p.Close())
}

// TestEvents_ComingAndGoing: subscriptions begin and end at any moment, in real time.
func TestEvents_ComingAndGoing(t *testing.T) {
	c := newCrew(t, Options{Max: 4, EventBuffer: 4, Restart: Restart{Min: time.Millisecond, Max: time.Millisecond}}, program{once: true})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				seq := uint64(0)
				for e := range c.Events(ctx) {
					if e.Seq <= seq {
						t.Errorf("event %d comes after %d", e.Seq, seq)
					}
					if seq != 0 && e.Seq != seq+e.Dropped+1 {
						t.Errorf("event %d after %d, %d dropped", e.Seq, seq, e.Dropped)
					}
					if seq = e.Seq; seq%7 == 0 {
						break
					}
					if seq%5 == 0 {
						cancel()
					}
				}
				cancel()
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	for {
		select {
		case <-ended:
			c.Pool.mu.Lock()
			defer c.Pool.mu.Unlock()
			require.Empty(t, c.subscribers)
			return
		default:
			_ = c.Call(t.Context(), "echo", "", nil, CallOptions{}) // its worker may have gone before it came
		}
	}
}
