package rpc

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// A worker may answer a call that it has not got yet. Who leaves while the reader copies that answer leaves the call to it: another call that used it
// again would get what is not its own.
func TestP10_LeavingWhileAnEarlyAnswerIsTaken(t *testing.T) {
	p, freed := newPeer(nil, true), 0
	p.out.broken = true // nothing is written
	for range 20 {      // now and then what could be used again is not
		c := p.group.newCall()
		c.id, c.end, c.freed = 2, notYet, func() { freed++ }
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.mu.Lock() // the reader has taken it out of those pending, and copies
		var gone *CallError
		require.ErrorAs(t, p.abandon(ctx, c), &gone)
		require.Equal(t, NotSent, gone.Delivery)
		require.NotSame(t, c, p.group.newCall())
		require.Zero(t, freed, "its place is not free yet")
		p.mu.Lock()
		free(p.finish(c))
		p.mu.Unlock()
		require.Equal(t, 1, freed)
		freed = 0
	}
}
