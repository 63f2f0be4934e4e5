package rpc

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A round that has been told to stop may look once more, for a tick that came at the same moment. The connections that it finds then belong to the next
// round, and are not taken from it: that one would go on without end, with nothing to look at.
func TestSweeper_RoundThatIsOverTakesNothing(t *testing.T) {
	s, p := new(sweeper), newPeer(newQuietStream(), true)
	p.end.read = true // it is not active
	next := &round{make(chan struct{}), make(chan struct{})}
	s.peers, s.round = []*Peer{p}, next
	former := &round{make(chan struct{}), make(chan struct{})}

	require.True(t, s.sweep(former))
	require.True(t, s.inactive(p, former), "also if it ends while it looks")
	require.Equal(t, []*Peer{p}, s.peers)
	require.Same(t, next, s.round)

	require.True(t, s.sweep(next))
	require.Empty(t, s.peers)
	require.Nil(t, s.round)
}

// The goroutine that writes the end of the handshake may go on with the first call. It is watched from then on.
func TestP6_WriterOfTheHandshakeIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(newQuietStream(), true)
		p.phase, p.limits.write = awaitReady, time.Second
		p.out.gate, p.out.delegated = true, true
		require.NoError(t, p.becomeReady([]byte{0x80}))
		time.Sleep(time.Second + 2*sweepEvery)
		require.ErrorIs(t, p.Err(), ErrWriteStall)
		require.NoError(t, p.Close())
	})
}
