package broker_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/worker"
)

// sums is a crew of two workers that each keep a sum: add returns it, crash ends the process, slow takes a minute.
func sums(t *testing.T) *broker.Broker {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"sums": {
		Command: broker.Command{Path: "sums"}, Max: 2,
		Start: func(_ process.Command, o process.Options) (*process.Process, error) {
			return process.StartFunc(sum, o), nil
		},
	}}})
	require.NoError(t, err)
	return b
}

func sum(m *process.Memory) int {
	var mu sync.Mutex
	total := 0
	exit := make(chan int, 2)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := worker.New(worker.Options{ExitGrace: -1})
	worker.Handle(w, "add", func(_ context.Context, n int) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		total += n
		return total, nil
	})
	worker.Handle(w, "crash", func(ctx context.Context, _ any) (any, error) {
		exit <- 7
		<-ctx.Done()
		return nil, nil
	})
	worker.Handle(w, "slow", func(ctx context.Context, _ any) (any, error) {
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
		}
		return nil, ctx.Err()
	})
	go func() { // ends with the process's input
		_ = w.Serve(ctx, m.Stdin, m.Stdout)
		exit <- 0
	}()
	return <-exit
}

func TestLeaseKeepsItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := sums(t)
		defer b.Close()
		var leases []*broker.Lease
		for range 2 {
			l, err := b.Pool("sums").Acquire(t.Context())
			require.NoError(t, err)
			defer l.Release()
			leases = append(leases, l)
		}
		require.NotEqual(t, leases[0].PID(), leases[1].PID())
		var total int
		for round := 1; round <= 3; round++ {
			for i, l := range leases {
				require.NoError(t, l.Call(t.Context(), "add", i+1, &total, broker.Timeout(time.Second), broker.Metadata(map[string]string{"a": "b"})))
				require.Equal(t, round*(i+1), total)
			}
		}
		require.ErrorIs(t, leases[0].Call(t.Context(), "slow", nil, nil, broker.Timeout(time.Second)), context.DeadlineExceeded)
		require.ErrorIs(t, b.Call(t.Context(), "sums.add", 1, nil, broker.Timeout(time.Second)), context.DeadlineExceeded, "all places are taken")
		leases[1].Release()
		require.NoError(t, b.Call(t.Context(), "sums.add", 0, &total))
		require.Equal(t, 6, total)
	})
}

// P14: what is lost on a lease is not repeated, since the next worker would lack what the first one knew.
func TestP14_NothingIsRepeatedOnALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := sums(t)
		defer b.Close()
		l, err := b.Pool("sums").Acquire(t.Context())
		require.NoError(t, err)
		defer l.Release()

		err = l.Call(t.Context(), "crash", nil, nil, broker.Idempotent())
		var failed *broker.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, 1, failed.Attempts)
		require.Equal(t, broker.ClassInterrupted, failed.Class)
		require.Equal(t, broker.Unknown, failed.Delivery)
		<-l.Done()
		for range 3 {
			err = l.Call(t.Context(), "add", 1, nil, broker.Idempotent())
			require.ErrorIs(t, err, broker.ErrLeaseLost)
			require.ErrorIs(t, err, broker.ErrTransient)
			require.ErrorAs(t, err, &failed)
			require.Equal(t, broker.NotSent, failed.Delivery)
		}
		s := b.Snapshot().Pools["sums"]
		require.Zero(t, s.Retries)
		require.EqualValues(t, 3, s.Counters.Failures[broker.Failure{Class: broker.ClassInterrupted, Delivery: broker.NotSent}])

		l.Release()
		require.ErrorIs(t, l.Call(t.Context(), "add", 1, nil), broker.ErrReleased)
		again, err := b.Pool("sums").Acquire(t.Context())
		require.NoError(t, err)
		defer again.Release()
		var total int
		require.NoError(t, again.Call(t.Context(), "add", 1, &total))
		require.Equal(t, 1, total, "a new start")
	})
}

func TestLeaseOfAnUnknownPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := sums(t)
		defer b.Close()
		_, err := b.Pool("sum").Acquire(t.Context())
		require.ErrorIs(t, err, broker.ErrUnknownPool)
		var failed *broker.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, broker.ClassCaller, failed.Class)
		require.ErrorContains(t, err, "sum.Acquire: refused: unknown pool")
	})
}

func TestSnapshotAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := sums(t)
		defer b.Close()
		require.NoError(t, b.Call(t.Context(), "sums.add", 1, nil))
		text, err := json.Marshal(b.Snapshot())
		require.NoError(t, err)
		for _, part := range []string{`{"pools":{"sums":{"pool":"sums",`, `"state":"ready"`, `"phase":"open"`, `"retries":0`, `"succeeded":1`, `"failures":{}`} {
			require.Contains(t, string(text), part)
		}
	})
}
