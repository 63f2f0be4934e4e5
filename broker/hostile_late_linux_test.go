package broker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
)

// Callers of a worker that has stopped reading return when their context ends, whatever they wait for: the pipe, room in what is to be written, or
// the answer. Another pool of the broker serves its calls meanwhile, and the worker is replaced. How much later than a bare timer they return is
// logged and not asserted: it is the machine's matter, too.
func TestP6_CallersOfAStuffedWorkerLeaveInTime(t *testing.T) {
	const (
		callers = 100
		allowed = 100 * time.Millisecond
		stall   = 600 * time.Millisecond
	)
	leavesNothing(t)
	stuffed := hostileOptions(broker.PoolOptions{InFlight: callers, WriteStall: stall}, "stuffed")
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"hostile": stuffed, "good": hostileOptions(broker.PoolOptions{})}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.NoError(t, b.Call(longEnough(t), "good.pid", nil, nil))
	first := pidOf(t, b)
	require.NoError(t, b.Call(longEnough(t), "hostile.misbehave", 0, nil))

	stop := make(chan struct{})
	var served atomic.Int64
	var beside sync.WaitGroup
	beside.Go(func() { // ends with stop
		for tick := time.NewTicker(time.Millisecond); ; served.Add(1) {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			if err := b.Call(longEnough(t), "good.pid", nil, nil); err != nil {
				t.Errorf("beside it: %v", err)
				return
			}
		}
	})
	var bare []time.Duration
	beside.Go(func() { // ends when the timers have fired
		bare = lateness(callers, allowed, func(ctx context.Context) { <-ctx.Done() })
	})
	late := lateness(callers, allowed, func(ctx context.Context) {
		err := b.Call(ctx, "hostile.pid", bigArgs[:64<<10], nil)
		if failed := (*broker.Error)(nil); !errors.As(err, &failed) || failed.Class != broker.ClassContext {
			t.Errorf("%v", err)
		}
	})
	require.False(t, gone(first), "the callers have waited for the worker's end")
	close(stop)
	beside.Wait()

	require.Positive(t, served.Load())
	require.NotEqual(t, first, pidOf(t, b))
	require.True(t, eventually(func() bool { return gone(first) }))
	require.Less(t, late[callers-1], stall-allowed)
	for of, late := range map[string][]time.Duration{"callers": late, "bare timers": bare} {
		t.Logf("%s: %v late at the median, %v at p99, %v at most", of, late[callers/2], late[callers*99/100-1], late[callers-1])
	}
	t.Logf("served beside them: %d calls", served.Load())
}

// lateness runs f at the same time in several goroutines, each with a context that ends after allowed, and returns how much later they returned, in
// rising order.
func lateness(n int, allowed time.Duration, f func(context.Context)) []time.Duration {
	late := make([]time.Duration, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { // ends with f, whose context ends
			begin := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), allowed)
			defer cancel()
			f(ctx)
			late[i] = time.Since(begin) - allowed
		})
	}
	wg.Wait()
	slices.Sort(late)
	return late
}
