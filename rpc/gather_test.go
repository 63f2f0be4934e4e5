package rpc

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// record is a Stream that keeps what it is given, write by write.
type record struct {
	Stream
	writes [][]byte
}

func (r *record) TryWrite(p []byte) (int, error) {
	r.writes = append(r.writes, append([]byte(nil), p...))
	return len(p), nil
}

// crowd is a host's end with so many calls in flight.
func crowdOf(calls int) (*Peer, *record) {
	r := new(record)
	p := newPeer(r, true)
	p.capacity, p.phase = 64, open
	for id := range uint64(calls) {
		p.calls.pending.put(2*id, &call{id: 2 * id})
	}
	return p, r
}

// Who sends alone writes at once.
func TestGather_NotForOne(t *testing.T) {
	p, r := crowdOf(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.push([]byte("one"), nil)
	require.Equal(t, [][]byte{[]byte("one")}, r.writes)
	p.capacity = 1 // one call at a time, and a ping
	p.calls.pending.put(pingBit, new(call))
	p.push([]byte("two"), nil)
	require.Equal(t, "two", string(r.writes[1]))
	require.Zero(t, p.out.gathering, "nobody has gathered")
	require.False(t, p.out.gate)
}

// Handlers of calls that came together are company too: their answers are about to follow.
func TestGather_ForHandlers(t *testing.T) {
	p, r := crowdOf(0)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.push([]byte("a"), nil)
	require.Zero(t, p.out.gathering, "nobody has gathered")
	p.serving.running.put(1, new(incoming))
	p.push([]byte("b"), nil)
	require.NotZero(t, p.out.gathering.since)
	require.Len(t, r.writes, 2)
}

// What others send while somebody gathers goes out with his own, in order.
func TestGather_WritesForOthers(t *testing.T) {
	p, r := crowdOf(2)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.gate, p.out.gathering = true, gathering{on: true, since: p.now() + time.Hour}
	p.push([]byte("a"), nil)
	p.push([]byte("b"), []byte("c"))
	require.Empty(t, r.writes)
	p.out.gate, p.out.gathering.on = false, false
	p.push([]byte("d"), nil) // gathers itself; nobody comes
	require.Equal(t, [][]byte{[]byte("abcd")}, r.writes)
	require.False(t, p.out.gate)
	require.False(t, p.out.gathering.on)
	require.Equal(t, p.out.queued, p.out.claimed)
}

// Frames do not wait for somebody who does not get to run again: whoever comes next writes them. After that nobody gathers for a while.
func TestGather_OverdueIsWrittenByTheNext(t *testing.T) {
	p, r := crowdOf(2)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.gate, p.out.gathering = true, gathering{on: true, since: p.now() - time.Second}
	p.push([]byte("a"), nil)
	require.Equal(t, [][]byte{[]byte("a")}, r.writes)
	require.False(t, p.out.gate)
	require.Equal(t, gatherSkip, p.out.gathering.skip)
	for range gatherSkip {
		p.push([]byte("b"), nil)
		require.False(t, p.out.gathering.on)
	}
	require.Len(t, r.writes, 1+gatherSkip)
	require.Zero(t, p.out.gathering.skip)
}

// Each gathering begins anew, or it would be overdue at once, and takes note of how long it took.
func TestGather_BeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := crowdOf(2)
		p.mu.Lock()
		defer p.mu.Unlock()
		time.Sleep(time.Millisecond)
		p.out.gathering = gathering{count: 5, rare: 7}
		p.push([]byte("a"), nil)
		require.Equal(t, gathering{since: time.Millisecond}, p.out.gathering)
	})
}

// Gatherings that take long become rare, and frequent again as soon as one has not.
func TestGather_BecomesRare(t *testing.T) {
	var g gathering
	for want := gatherSkip; want < 4*gatherRare; want *= 2 {
		g.over(time.Millisecond)
		require.Equal(t, min(want, gatherRare), g.skip)
	}
	g.skip = 0
	g.over(gatherFor)
	require.Zero(t, g.skip)
	g.over(time.Millisecond)
	require.Equal(t, gatherSkip, g.skip)
}
