package broker_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
)

// The same on real pipes: the turn is kept for a caller that has left, and the worker's death is told.
func TestLeaseOnARealProcess(t *testing.T) {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"echo": {Command: broker.Self("echo"), Max: 1}}})
	require.NoError(t, err)
	defer b.Close()
	l, err := b.Pool("echo").Acquire(t.Context())
	require.NoError(t, err)
	defer l.Release()

	var text string
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		require.ErrorIs(t, l.Call(ctx, "sleep", 3600_000, nil), context.DeadlineExceeded)
		cancel()
		require.NoError(t, l.Call(t.Context(), "echo", "hi", &text), "the worker obeys")
		require.Equal(t, "hi", text)
	}
	require.Equal(t, l.PID(), b.Snapshot().Pools["echo"].Workers[0].PID)

	require.NoError(t, syscall.Kill(l.PID(), syscall.SIGKILL))
	<-l.Done()
	require.NoError(t, b.Call(t.Context(), "echo.echo", "hi", &text))
	err = l.Call(t.Context(), "echo", "hi", nil)
	require.ErrorIs(t, err, broker.ErrLeaseLost)
	require.ErrorContains(t, err, "killed by signal 9")
	require.NotEqual(t, l.PID(), b.Snapshot().Pools["echo"].Workers[0].PID)
}
