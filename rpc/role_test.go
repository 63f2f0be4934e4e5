package rpc

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
)

// quietStream is a Stream on which nothing ever comes, and whose Read can be called off.
type quietStream struct {
	mu          sync.Mutex
	changed     *sync.Cond
	interrupted bool
	closed      bool
}

func newQuietStream() *quietStream {
	s := new(quietStream)
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *quietStream) set(what *bool, to bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*what = to
	s.changed.Broadcast()
}

func (s *quietStream) Read([]byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.interrupted && !s.closed {
		s.changed.Wait()
	}
	if s.closed {
		return 0, os.ErrClosed
	}
	return 0, os.ErrDeadlineExceeded
}

func (s *quietStream) TryRead([]byte) (int, error)    { return 0, ErrWouldBlock }
func (s *quietStream) Write(p []byte) (int, error)    { return len(p), nil }
func (s *quietStream) TryWrite(p []byte) (int, error) { return len(p), nil }
func (s *quietStream) Interrupt()                     { s.set(&s.interrupted, true) }
func (s *quietStream) Resume()                        { s.set(&s.interrupted, false) }
func (s *quietStream) Close() error                   { s.set(&s.closed, true); return nil }

var errOver = errors.New("over")

// inFlight returns a host's open end and so many calls of it; locked.
func inFlight(s Stream, n int) (*Peer, []*call) {
	p, all := newPeer(s, true), make([]*call, n)
	p.phase, p.capacity, p.hold = open, n, true
	p.mu.Lock()
	for i := range all {
		all[i] = p.group.newCall()
		all[i].id = p.calls.nextID
		p.calls.nextID += 2
		p.register(all[i])
	}
	return p, all
}

// Callers get the role in the order in which they came: those that look at their contexts have waited for longer than those that do not yet.
func TestRole_GoesToTheOldest(t *testing.T) {
	p, all := inFlight(newQuietStream(), 5)
	p.reading.grant(all[0])
	p.calls.waiting.push(all[1])
	for _, c := range all[2:] {
		p.calls.brief.push(c)
	}
	for _, c := range all[1:] {
		p.passOn()
		require.Same(t, c, p.reading.holder)
		require.Len(t, c.ready, 1)
	}
	p.mu.Unlock()
	require.NoError(t, p.Close())
}

// A caller may be granted the role and lose its call before it runs again. The role is not lost with it: Drain would wait for it for ever.
func TestRole_GrantedToACallThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, all := inFlight(newQuietStream(), 2)
		reader, next := all[0], all[1]
		p.reading.grant(reader)
		go func() { _ = p.await(t.Context(), next) }() // ends with its call
		synctest.Wait()                                // it has been entered with the mutex held, and now waits
		p.mu.Lock()
		p.passOn()
		require.Same(t, next, p.reading.holder)
		p.lose(errOver)
		free(p.abort(errOver)...)
		p.mu.Unlock()
		synctest.Wait()
		p.mu.Lock()
		require.NotEqual(t, callerReads, p.reading.role)
		p.mu.Unlock()
		p.Drain(errOver) // returns
	})
}

// Nor is it lost with one that is granted it when its context has ended.
func TestRole_GrantedToACallerThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, all := inFlight(newQuietStream(), 2)
		reader, next := all[0], all[1]
		p.reading.grant(reader)
		p.calls.waiting.push(next)
		p.passOn()
		require.Same(t, next, p.reading.holder)
		require.True(t, p.leave(next))
		require.NotSame(t, next, p.reading.holder)
		require.NotEqual(t, callerReads, p.reading.role)
		p.mu.Unlock()
		require.NoError(t, p.Close())
	})
}

// A caller that reads may give the role up when Close has already waited for the Peer's goroutines. No further one is started: it would read from a
// stream whose owner believes that nobody does.
func TestRole_NobodyReadsAfterClose(t *testing.T) {
	p, all := inFlight(newQuietStream(), 1)
	p.reading.grant(all[0])
	p.kick()
	p.end.closed = true
	p.passOn()
	require.Equal(t, nobody, p.reading.role)
	p.mu.Unlock()
	require.NoError(t, p.Close())
}

// lastWords is a Stream whose last bytes come together with its end.
type lastWords struct {
	*quietStream
	words []byte
}

func (s *lastWords) TryRead(p []byte) (int, error) {
	n := copy(p, s.words)
	s.words = s.words[n:]
	return n, io.EOF
}

// P45: a reply that is read together with the end is delivered.
func TestP45_DrainDeliversWhatComesWithTheEnd(t *testing.T) {
	s := &lastWords{quietStream: newQuietStream()}
	p, all := inFlight(s, 1)
	s.words = append(framing.Header{Type: typeReply, Length: 1, ID: all[0].id}.Append(nil), 0x2a)
	p.mu.Unlock()
	p.Drain(errOver)
	require.NoError(t, all[0].err)
	require.Equal(t, []byte{0x2a}, all[0].reply)
}
