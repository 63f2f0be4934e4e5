package process

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nonBlocking is what the Stream of a real process can do beyond Stream.
type nonBlocking interface {
	Stream
	TryRead(p []byte) (int, error)
	TryWrite(p []byte) (int, error)
	Interrupt()
	Resume()
}

func raw(t *testing.T, p *Process) nonBlocking {
	t.Helper()
	s, ok := p.Stream().(nonBlocking)
	require.True(t, ok)
	return s
}

func cat(t *testing.T) (*Process, nonBlocking) {
	t.Helper()
	p := run(t, Command{Path: "cat"}, Options{})
	return p, raw(t, p)
}

// sleeper is a process that neither reads nor writes.
func sleeper(t *testing.T) (*Process, nonBlocking) {
	t.Helper()
	p := run(t, Command{Path: "sleep", Args: []string{"300"}}, Options{})
	return p, raw(t, p)
}

func TestTryRead(t *testing.T) {
	p, s := cat(t)
	buf := make([]byte, 16)
	n, err := s.TryRead(buf)
	require.Zero(t, n)
	require.ErrorIs(t, err, syscall.EAGAIN, "nothing is there")

	n, err = s.TryRead(nil)
	require.Zero(t, n)
	require.NoError(t, err, "nothing is wanted")

	_, err = s.Write([]byte("hello"))
	require.NoError(t, err)
	require.True(t, eventually(func() bool {
		n, err = s.TryRead(buf)
		return err != syscall.EAGAIN
	}))
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:n]))

	require.NoError(t, s.CloseWrite())
	wait(t, p.Exited())
	n, err = s.TryRead(buf)
	require.Zero(t, n)
	require.ErrorIs(t, err, io.EOF)

	require.NoError(t, s.Close())
	_, err = s.TryRead(buf)
	require.ErrorIs(t, err, os.ErrClosed)
	require.NoError(t, s.Close(), "twice is no error")
}

func TestTryWriteFillsThePipe(t *testing.T) {
	_, s := sleeper(t)
	n, err := s.TryWrite(nil)
	require.Zero(t, n)
	require.NoError(t, err)

	piece := make([]byte, pipeSize-10)
	n, err = s.TryWrite(piece)
	require.Equal(t, len(piece), n)
	require.NoError(t, err)
	n, err = s.TryWrite(piece)
	require.Less(t, n, len(piece), "a short count")
	require.ErrorIs(t, err, syscall.EAGAIN)
	n, err = s.TryWrite(piece)
	require.Zero(t, n)
	require.ErrorIs(t, err, syscall.EAGAIN)

	require.NoError(t, s.CloseWrite())
	_, err = s.TryWrite(piece)
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestWritingToADeadProcessIsEPIPE(t *testing.T) {
	p := run(t, Command{Path: "true"}, Options{})
	wait(t, p.Exited())
	_, err := raw(t, p).TryWrite([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
	_, err = p.Stream().Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
}

func TestWritingToADeadProcessFromAHostWithoutStdio(t *testing.T) {
	require.Equal(t, 42, ended(t, play(t, Options{}, "closedstdio")).Code, "a signal is SIGPIPE to the host")
}

func TestTryDoesNotAllocate(t *testing.T) {
	_, s := cat(t)
	out, in := []byte("ping"), make([]byte, 16)
	require.Zero(t, testing.AllocsPerRun(200, func() {
		s.TryWrite(out)
		s.TryRead(in)
	}))
}

func TestInterruptMakesReadReturn(t *testing.T) {
	_, s := cat(t)
	read := make(chan error, 1)
	go func() {
		_, err := s.Read(make([]byte, 1))
		read <- err
	}()
	s.Interrupt()
	select {
	case err := <-read:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(patience):
		require.Fail(t, "Read goes on")
	}
	_, err := s.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "later ones too")
}

func TestP43_TryReadReadsUnderInterrupt(t *testing.T) {
	p := sh(t, "echo hello; sleep 300", Options{})
	s := raw(t, p)
	s.Interrupt()
	buf := make([]byte, 16)
	var n int
	require.True(t, eventually(func() bool {
		var err error
		n, err = s.TryRead(buf)
		return err == nil
	}))
	require.Equal(t, "hello\n", string(buf[:n]))
}

func TestResume(t *testing.T) {
	_, s := cat(t)
	s.Interrupt()
	s.Resume()
	_, err := io.WriteString(s, "hello\n")
	require.NoError(t, err)
	require.Equal(t, "hello", readLine(t, s))
	require.NoError(t, s.Close())
	s.Interrupt() // after Close it does nothing
	s.Resume()
}

func TestP44_TryWriteDoesNotWaitForABlockedWrite(t *testing.T) {
	_, s := sleeper(t)
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.Write(make([]byte, 2*largePipeSize))
	}()
	require.True(t, eventually(func() bool {
		n, err := s.TryWrite([]byte("x"))
		return n == 0 && err == syscall.EAGAIN
	}), "it waited for the write")
	require.NoError(t, s.CloseWrite())
	wait(t, written)
}

func TestCloseUnblocksBothDirections(t *testing.T) {
	_, s := sleeper(t)
	done := make(chan error, 2)
	go func() {
		_, err := s.Read(make([]byte, 1))
		done <- err
	}()
	go func() {
		_, err := s.Write(make([]byte, 2*largePipeSize))
		done <- err
	}()
	require.True(t, eventually(func() bool {
		_, err := s.TryWrite([]byte("x"))
		return err == syscall.EAGAIN
	}))
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-done, os.ErrClosed)
	require.ErrorIs(t, <-done, os.ErrClosed)
}

func TestLargeTransfersBothWays(t *testing.T) {
	_, s := cat(t)
	payload := []byte(strings.Repeat("0123456789", 500_000))
	go func() {
		s.Write(payload)
		s.CloseWrite()
	}()
	var back bytes.Buffer
	_, err := io.CopyBuffer(&back, io.LimitReader(s, int64(len(payload))), make([]byte, 256<<10))
	require.NoError(t, err)
	require.True(t, bytes.Equal(payload, back.Bytes()))
}

func TestP2_L1_14_StderrFloodsAreDrained(t *testing.T) {
	for name, line := range map[string]int{"lines": 100, "one line": 8 << 20} {
		t.Run(name, func(t *testing.T) {
			var out logged
			const total = 8 << 20
			r := ended(t, play(t, Options{Log: out.logger()}, "flood", fmt.Sprint(line), fmt.Sprint(total)))
			require.True(t, r.Success())
			require.Len(t, r.StderrTail, tailMax)
			require.LessOrEqual(t, len(out.lines()), int(r.Uptime/time.Second+2)*(maxLineRate+1))
		})
	}
}

func TestP2_EndlessFloodCanBeKilled(t *testing.T) {
	p := play(t, Options{}, "flood", "100", "0")
	require.True(t, eventually(func() bool { return len(p.StderrTail()) == tailMax }))
	require.NoError(t, p.Do(Kill))
	r := ended(t, p)
	require.Equal(t, KILL, r.Signal)
	require.False(t, r.Held)
}
