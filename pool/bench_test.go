package pool

import (
	"context"
	"fmt"
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

func TestWhetherAnAnswerIsARefusalAllocatesNothing(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() { require.False(t, isLeaving(nil)) }))
}
