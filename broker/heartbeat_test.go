package broker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
	"github.com/stdcrew/stdcrew/worker"
)

// What the SDK announces it keeps: it answers pings while its handlers run, in both ways of running them.
func TestHeartbeat_SDKWorkersAreNeverSuspected(t *testing.T) {
	for _, inFlight := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, &errorCase{options: broker.PoolOptions{Heartbeat: time.Second}, play: func(m *process.Memory) int {
				w := worker.New(worker.Options{InFlight: inFlight})
				worker.Handle(w, "resize", func(_ context.Context, in string) (string, error) {
					time.Sleep(100 * time.Second)
					return in, nil
				})
				_ = w.Serve(context.Background(), m.Stdin, m.Stdout)
				return 0
			}})
			start := time.Now()
			var running []<-chan error
			for range 2 * inFlight {
				running = append(running, s.begin(t.Context()))
			}
			for _, done := range running {
				require.NoError(t, <-done)
			}
			require.Equal(t, 200, int(time.Since(start).Seconds()))
			require.Len(t, s.procs, 1)
		})
	}
}

// freezes is a worker that promises to answer while it is busy, takes a call, and does nothing more.
func freezes(m *process.Memory) int {
	hello := rpc.Hello{InFlight: 4, Caps: []string{rpc.CapBusy}}
	peer, err := rpc.Announce(context.Background(), stdio{m}, rpc.WorkerOptions{Hello: hello})
	if err != nil || peer.Ready() != nil {
		return 1
	}
	defer peer.Close()
	<-m.Killed
	return 0
}

// The callers of a worker that hangs are freed after three periods exactly, it counts as a death, and without Heartbeat it is left alone.
func TestHeartbeat_HangsAreDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, &errorCase{play: freezes, options: broker.PoolOptions{WriteStall: -1, Min: 1}})
		synctest.Wait() // that it is ready is a sign of life, too, and has been noted
		start := time.Now()
		first, second := s.begin(t.Context()), s.begin(t.Context())
		for _, running := range []<-chan error{first, second} {
			err := <-running
			require.Equal(t, 45*time.Second, time.Since(start))
			require.ErrorIs(t, err, rpc.ErrHang)
			require.Equal(t, broker.ClassInterrupted, asBrokerError(t, err).Class)
		}
		synctest.Wait() // until the dead is buried
		counters := s.Snapshot().Pools["images"].Counters
		require.EqualValues(t, 1, counters.Deaths)
		require.Equal(t, map[string]uint64{"hang": 1}, counters.Ends)
		require.Zero(t, counters.InternalErrors)
	})
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, &errorCase{play: freezes, options: broker.PoolOptions{Heartbeat: -1}})
		running := s.begin(t.Context())
		time.Sleep(24 * time.Hour)
		require.Empty(t, running)
	})
}

func asBrokerError(t *testing.T, err error) *broker.Error {
	t.Helper()
	var e *broker.Error
	require.ErrorAs(t, err, &e)
	return e
}
