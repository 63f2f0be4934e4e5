package rpc

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
)

// P4: for a reply in parts to a call whose caller has left, or to none at all, no memory is taken.
func TestP4_PartsThatNobodyWantsTakeNoMemory(t *testing.T) {
	p, all := inFlight(newQuietStream(), 2)
	all[1].left = true
	p.mu.Unlock()
	for _, id := range []uint64{all[0].id, all[1].id, all[1].id + 2} {
		part := []byte{0, 0, 0, 5, 'b', 'e', 'g', 'u'}
		h := framing.Header{Type: typeReply, Flags: framing.More, Length: uint32(len(part)), ID: id}
		p.in.Filled(copy(p.in.Space(), append(h.Append(nil), part...)))
		require.NoError(t, p.consume())
		require.Equal(t, 1, p.in.Taken(typeReply), "the first one is wanted")
	}
	require.NoError(t, p.Close())
}
