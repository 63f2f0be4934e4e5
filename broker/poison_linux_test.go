package broker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/testworkers/handlers"
)

// A call that kills real workers takes its neighbors down once. They are repeated and served, each alone; it is found out.
func TestP14_PoisonKillsNeighborsOnce(t *testing.T) {
	leavesNothing(t)
	const neighbors = 3
	b := newBroker(t, "crash", broker.PoolOptions{
		Max: 1, InFlight: neighbors + 1, Restart: broker.Restart{Min: time.Millisecond, Max: 5 * time.Millisecond},
	})
	served := make(chan error, neighbors)
	for range neighbors {
		go func() { served <- b.Call(longEnough(t), "crash.sleep", 500, nil, broker.Idempotent()) }() // ends with the call
	}
	busy := func() bool { return b.Snapshot().Pools["crash"].Workers[0].InFlight == neighbors }
	require.True(t, eventually(busy))
	err := b.Call(longEnough(t), "crash.kill", handlers.KillInput{}, nil, broker.Idempotent())
	require.ErrorIs(t, err, broker.ErrPoison)
	require.ErrorContains(t, err, "crashed 3 workers; the last one: killed by signal 9")
	require.Equal(t, 4, failure(t, err).Attempts)
	for range neighbors {
		require.NoError(t, <-served)
	}
	s := b.Snapshot().Pools["crash"]
	require.True(t, eventually(func() bool { return b.Snapshot().Pools["crash"].Counters.Deaths == 4 }), "the last one may still be being buried")
	require.EqualValues(t, 1, s.Poisoned)
	require.EqualValues(t, neighbors+3, s.Retries)
	require.Zero(t, s.Counters.InternalErrors)
	require.EqualValues(t, neighbors, s.Counters.Succeeded)
}
