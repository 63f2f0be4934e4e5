//go:build !posixprocess

package process

import (
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// soonReader is a Stream with ReadSoon.
type soonReader interface {
	nonBlocking
	ReadSoon(p []byte, lone bool) (int, error)
}

// onOneProcessor returns the stream of a program that was started where ReadSoon waits on the thread.
func onOneProcessor(t *testing.T, program string) (*Process, soonReader) {
	t.Helper()
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	p := sh(t, program, Options{})
	s, ok := p.Stream().(soonReader)
	require.True(t, ok)
	require.NotNil(t, s.(*pipeStream).stdout.soon.wait)
	return p, s
}

func TestReadSoon(t *testing.T) {
	p, s := onOneProcessor(t, "exec cat")
	buf := make([]byte, 16)
	for range 100 {
		_, err := io.WriteString(s, "hello")
		require.NoError(t, err)
		n, err := s.ReadSoon(buf, true)
		require.NoError(t, err)
		require.Equal(t, "hello", string(buf[:n]))
	}
	require.NoError(t, s.CloseWrite())
	_, err := s.ReadSoon(buf, true)
	require.ErrorIs(t, err, io.EOF)
	wait(t, p.Exited())
	require.NoError(t, s.Close())
	_, err = s.ReadSoon(buf, true)
	require.ErrorIs(t, err, os.ErrClosed)
}

// What does not come soon is waited for in the poller, and so are the next reads: a slow answer holds the processor once in a while only.
func TestReadSoonLeavesSlowAnswersToThePoller(t *testing.T) {
	_, s := onOneProcessor(t, "sleep 300")
	s.Interrupt() // the poller does not wait, so that the test need not
	soon := &s.(*pipeStream).stdout.soon
	for range 2 {
		for skips := soonSkip; skips >= 0; skips-- {
			_, err := s.ReadSoon(make([]byte, 1), true)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, skips, soon.skip)
		}
	}
}

// Where several wait for an answer nobody keeps the others from theirs.
func TestReadSoonWaitsOnTheThreadAlone(t *testing.T) {
	_, s := onOneProcessor(t, "sleep 300")
	soonReaders.Add(1)
	defer soonReaders.Add(-1)
	s.Interrupt()
	_, err := s.ReadSoon(make([]byte, 1), true)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Zero(t, s.(*pipeStream).stdout.soon.skip, "it has not waited")
}

// Who waits for the answers of many does not keep others from theirs, and is not kept from them.
func TestReadSoonForManyIsSeenByOthers(t *testing.T) {
	_, many := onOneProcessor(t, "sleep 300")
	_, s := onOneProcessor(t, "sleep 300")
	read := make(chan error, 1)
	go func() { // ends when the stream is closed
		_, err := many.ReadSoon(make([]byte, 1), false)
		read <- err
	}()
	require.True(t, eventually(func() bool { return soonReaders.Load() == 1 }))
	s.Interrupt()
	_, err := s.ReadSoon(make([]byte, 1), true)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	for _, one := range []soonReader{many, s} {
		require.Zero(t, one.(*pipeStream).stdout.soon.row, "it has not waited on the thread")
	}
	require.NoError(t, many.Close())
	require.ErrorIs(t, <-read, os.ErrClosed)
}

// A caller that makes call after call keeps the scheduler from asking the poller, and with it all who wait for another pipe or socket.
func TestReadSoonLetsThePollerBeAsked(t *testing.T) {
	_, s := onOneProcessor(t, "exec cat")
	buf := make([]byte, 1)
	call := func() {
		_, err := s.TryWrite(buf)
		require.NoError(t, err)
		_, err = s.ReadSoon(buf, true)
		require.NoError(t, err)
	}
	elsewhere, signal, err := os.Pipe()
	require.NoError(t, err)
	defer signal.Close()
	var seen atomic.Bool
	go func() { // ends when it has read
		defer elsewhere.Close()
		_, _ = elsewhere.Read(make([]byte, 1))
		seen.Store(true)
	}()
	for range 100 { // it waits in the poller by now
		call()
	}
	_, err = signal.Write(buf)
	require.NoError(t, err)
	soon := &s.(*pipeStream).stdout.soon
	for waits := 0; !seen.Load(); { // not calls: an answer that is there at once is read without a wait of either kind
		before := soon.row
		call()
		if soon.row > before {
			waits++
		}
		require.Less(t, waits, 20*soonInRow, "on the thread")
	}
}

func TestInterruptAndCloseEndReadSoon(t *testing.T) {
	_, s := onOneProcessor(t, "sleep 300")
	for range 2 * soonSkip {
		s.Interrupt()
		_, err := s.ReadSoon(make([]byte, 1), true)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		s.Resume()
	}
	read := make(chan error, 1)
	go func() { // ends when the stream is closed
		_, err := s.ReadSoon(make([]byte, 1), true)
		read <- err
	}()
	require.True(t, eventually(func() bool { return soonReaders.Load() == 1 }))
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-read, os.ErrClosed)
	require.Zero(t, soonReaders.Load())
}

func TestReadSoonDoesNotAllocate(t *testing.T) {
	_, s := onOneProcessor(t, "exec cat")
	out, in := []byte("ping"), make([]byte, 16)
	require.Zero(t, testing.AllocsPerRun(200, func() {
		s.TryWrite(out)
		s.ReadSoon(in, true)
	}))
}
