//go:build !posixprocess

package process

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// sizeOf returns the size of a pipe.
func sizeOf(t *testing.T, e *pipeEnd) int {
	t.Helper()
	var size int
	require.NoError(t, e.conn.Control(func(fd uintptr) {
		size, _ = unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0)
	}))
	return size
}

func TestP42_FewPipesAreRaised(t *testing.T) {
	before := largePipes.Load()
	var pipes []*pipeStream
	for range maxLargePipes + 4 {
		_, s := sleeper(t)
		pipes = append(pipes, s.(*pipeStream))
		_, err := s.TryWrite(make([]byte, pipeSize))
		require.NoError(t, err)
		require.Equal(t, pipeSize, sizeOf(t, pipes[0].stdout))
	}
	require.Equal(t, before, largePipes.Load(), "nothing was large")

	large := 0
	for _, s := range pipes {
		s.TryWrite(make([]byte, pipeSize+1))
		if sizeOf(t, s.stdin) == largePipeSize {
			large++
		}
	}
	require.Equal(t, maxLargePipes, large)
	require.EqualValues(t, maxLargePipes, largePipes.Load())
	for _, s := range pipes {
		require.NoError(t, s.Close())
	}
	require.Zero(t, largePipes.Load())
}

func TestP42_LargePipeCountsOnceWhenClosedMeanwhile(t *testing.T) {
	for range 2000 {
		pair, err := openPipe(false)
		require.NoError(t, err)
		e := newWriteEnd(pair.ours, "test")
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			e.Close()
		}()
		e.enlarge()
		wait(t, closed)
		closeAll(pair.theirs)
		require.Zero(t, largePipes.Load())
	}
}

func unread(t *testing.T, s *pipeStream) (int, bool) {
	t.Helper()
	n, gone, err := s.Unread()
	require.NoError(t, err)
	return n, gone
}

// What a dead process has not read tells which calls it has never seen.
func TestUnread(t *testing.T) {
	p := sh(t, "head -c 400 >&2; exec sleep 300", Options{})
	s := p.Stream().(*pipeStream)
	_, err := s.Write(make([]byte, 1000))
	require.NoError(t, err)
	require.True(t, eventually(func() bool { n, gone := unread(t, s); return n == 600 && !gone }))
	require.NoError(t, p.Signal(KILL))
	wait(t, p.Exited())
	n, gone := unread(t, s)
	require.Equal(t, 600, n)
	require.True(t, gone)
	require.NoError(t, s.CloseWrite())
	_, _, err = s.Unread()
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestUnreadIsNotFinalWhileSomebodyCanRead(t *testing.T) {
	fds, err := openPipe(false)
	require.NoError(t, err)
	heir, err := unix.FcntlInt(uintptr(fds.theirs), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	s := &pipeStream{stdin: newWriteEnd(fds.ours, "stdin")}
	_, err = s.Write([]byte("five!"))
	require.NoError(t, err)
	closeAll(fds.theirs)
	n, gone := unread(t, s)
	require.Equal(t, 5, n)
	require.False(t, gone)
	closeAll(heir)
	n, gone = unread(t, s)
	require.Equal(t, 5, n)
	require.True(t, gone)
	require.NoError(t, s.CloseWrite())
}
