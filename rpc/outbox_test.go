package rpc

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// busyStream is a Stream on which somebody sends a further frame, or does something else, in the middle of each write that does not block.
type busyStream struct {
	*quietStream
	meddle func()

	mu      sync.Mutex
	tried   []string // what TryWrite was given
	written []string // and Write
	err     error    // of TryWrite, which takes nothing then
}

func (s *busyStream) TryWrite(p []byte) (int, error) {
	s.meddle()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.tried = append(s.tried, string(p))
	return len(p), nil
}

func (s *busyStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = append(s.written, string(p))
	return len(p), nil
}

// Who writes for others is not kept by them for ever: a goroutine takes over, and opens the gate when nothing is left. Nobody would write any more if it
// stayed shut.
func TestOutbox_AGoroutineTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, frames := &busyStream{quietStream: newQuietStream()}, "abcdefghijklmnopqrstuvwxyz"
		p, _ := inFlight(s, 1)
		rest := frames
		push := func() {
			frame := rest[:1]
			rest = rest[1:]
			p.push([]byte(frame), nil)
		}
		s.meddle = func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			push()
		}
		push()
		require.True(t, p.out.delegated)
		push()
		p.mu.Unlock()
		synctest.Wait()
		require.Len(t, s.tried, 1+flushRounds)
		require.Equal(t, frames[:2+flushRounds+1], strings.Join(append(s.tried, s.written...), ""))
		p.mu.Lock()
		require.False(t, p.out.gate)
		require.Equal(t, p.out.queued, p.out.claimed)
		p.mu.Unlock()
		require.NoError(t, p.Close())
	})
}

// Where Close comes in the middle of a write that finds the pipe full, no goroutine is started: nobody would wait for it.
func TestOutbox_NobodyWritesAfterClose(t *testing.T) {
	s := &busyStream{quietStream: newQuietStream(), err: ErrWouldBlock}
	p, _ := inFlight(s, 1)
	s.meddle = func() { require.NoError(t, p.Close()) }
	p.push([]byte("frame"), nil)
	require.False(t, p.out.gate)
	require.False(t, p.out.delegated)
	p.mu.Unlock()
	p.tasks.Wait()
	require.Empty(t, s.written)
}
