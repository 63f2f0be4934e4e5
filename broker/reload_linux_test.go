package broker_test

import (
	"context"
	"io/fs"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
)

// crewOf returns the pids of a pool's workers.
func crewOf(b *broker.Broker, name string) (pids []int) {
	for _, w := range b.Snapshot().Pools[name].Workers {
		if w.PID != 0 {
			pids = append(pids, w.PID)
		}
	}
	return pids
}

// TestReloadOfProcesses replaces a busy crew, then tries commands that do not work: no call fails, and what does not work changes nothing.
func TestReloadOfProcesses(t *testing.T) {
	b := newBroker(t, "echo", broker.PoolOptions{Min: 3, Max: 3})
	require.NoError(t, b.Ready(t.Context()))
	p := b.Pool("echo")
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() { // ends with ctx
			for ctx.Err() == nil {
				if err := p.Call(context.Background(), "echo", "x", nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		before := crewOf(b, "echo")
		require.NoError(t, p.Reload(t.Context(), broker.Command{}))
		for _, pid := range before {
			require.True(t, gone(pid), "worker %d is still there", pid)
		}
		require.Len(t, crewOf(b, "echo"), 3)
	}
	before := crewOf(b, "echo")
	require.ErrorIs(t, p.Reload(t.Context(), broker.Command{Path: "/no/such/program"}), fs.ErrNotExist)
	require.ErrorContains(t, p.Reload(t.Context(), broker.Command{Path: "false"}), "exited with code 1")
	require.Equal(t, before, crewOf(b, "echo"))
	stop()
	callers.Wait()
	s := b.Snapshot().Pools["echo"].Counters
	require.Empty(t, s.Failures)
	require.EqualValues(t, 9, s.Ends["reload"])
	require.EqualValues(t, 2, s.BootFailures)
	require.Zero(t, s.Deaths)
}
