package pool

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchPool makes a pool with ready workers that have no process.
func benchPool(tb testing.TB, places int) (*Pool, *worker) {
	tb.Helper()
	p, err := New(Options{Max: 1, Start: noStart})
	require.NoError(tb, err)
	return p, readyWorker(p, places)
}

// BenchmarkTakeAndGiveBack is what a pool adds to a call that finds a free worker.
func BenchmarkTakeAndGiveBack(b *testing.B) {
	for _, places := range []int{1, 64} {
		b.Run(fmt.Sprintf("places=%d", places), func(b *testing.B) {
			p, _ := benchPool(b, places)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				w, err := p.take(ctx, false)
				if err != nil {
					b.Fatal(err)
				}
				w.freed()
			}
		})
	}
}

// BenchmarkTakeAndGiveBackContended has many callers for few places, so that most of them wait and places go from hand to hand.
func BenchmarkTakeAndGiveBackContended(b *testing.B) {
	p, _ := benchPool(b, 4)
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		ctx := context.Background()
		for pb.Next() {
			w, err := p.take(ctx, false)
			if err != nil {
				b.Error(err)
				return
			}
			w.freed()
		}
	})
}

// BenchmarkGiveToTheNext is what a place costs on its way from a caller to the one that has waited longest, while so many wait and another comes.
func BenchmarkGiveToTheNext(b *testing.B) {
	for _, waiting := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			p, w := benchPool(b, 1)
			p.queue.bound = waiting
			ctx := context.Background()
			if _, err := p.take(ctx, false); err != nil {
				b.Fatal(err)
			}
			come := func() {
				p.mu.Lock()
				_, _, err := p.join(false)
				p.mu.Unlock()
				if err != nil {
					b.Fatal(err)
				}
			}
			for range waiting {
				come()
			}
			b.ReportAllocs()
			for b.Loop() {
				first := p.queue.waiting.first
				w.freed()
				if got, err := p.wait(ctx, first); err != nil || got != w {
					b.Fatal("no place")
				}
				come()
			}
		})
	}
}

// BenchmarkLeaveTheQueue is what it costs to leave from the middle of the queue, and to come again.
func BenchmarkLeaveTheQueue(b *testing.B) {
	for _, waiting := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			p, _ := benchPool(b, 1)
			p.queue.bound = waiting
			callers := make([]*waiter, waiting)
			for i := range callers {
				callers[i] = p.queue.join(false)
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			next := waiting / 2
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.wait(ctx, callers[next]); err == nil {
					b.Fatal("a place")
				}
				callers[next] = p.queue.join(false)
				next = (next + 7919) % waiting
			}
		})
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	p, w := benchPool(t, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	take := func() {
		if got, err := p.take(ctx, false); err != nil || got != w {
			t.Fatal("no worker")
		}
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		take()
		w.freed()
	}))

	// Neither does a caller that waits and is given the place of another.
	take()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		p.mu.Lock()
		waiting := p.queue.join(false)
		p.mu.Unlock()
		w.freed()
		if got, err := p.wait(ctx, waiting); err != nil || got != w {
			t.Fatal("no place")
		}
	}))
}

// A caller that waits costs the pool a waiter and its channel. Its goroutine, and what select needs for it, come on top of that.
func TestWaitingCallerTakesLittle(t *testing.T) {
	const callers = 1000
	q := queue{bound: callers}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range callers {
		if q.join(false) == nil {
			t.Fatal("no room")
		}
	}
	runtime.ReadMemStats(&after)
	require.LessOrEqual(t, (after.TotalAlloc-before.TotalAlloc)/callers, uint64(256), "bytes")
	require.Equal(t, callers, q.length())
}

func TestWhetherAnAnswerIsARefusalAllocatesNothing(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() { require.False(t, isLeaving(nil)) }))
}
