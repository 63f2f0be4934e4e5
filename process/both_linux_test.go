package process

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// bothWriter is a Stream that writes two buffers at once.
type bothWriter interface {
	nonBlocking
	TryWriteBoth(p, q []byte) (int, error)
}

// count returns n bytes that tell where they stand.
func count(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((from + i) % 251)
	}
	return b
}

// writeOnly is our end of a pipe without a process, and the other end.
func writeOnly(t *testing.T) (bothWriter, *os.File) {
	t.Helper()
	fds, err := openPipe(false)
	require.NoError(t, err)
	theirs := os.NewFile(uintptr(fds.theirs), "theirs")
	s := &pipeStream{stdin: newWriteEnd(fds.ours, "stdin"), stdout: newReadEnd(-1, "none")}
	t.Cleanup(func() {
		_ = s.CloseWrite()
		_ = theirs.Close()
	})
	return s, theirs
}

func TestTryWriteBothFillsThePipe(t *testing.T) {
	for name, halves := range map[string][2]int{
		"both fit":            {16, 20000},
		"the second is cut":   {16, pipeSize},
		"nothing of it fits":  {pipeSize, 5000},
		"the first is cut":    {pipeSize + pipeSize/2, 100},
		"the second is empty": {20000, 0},
		"the first is empty":  {0, 20000},
		"both are":            {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, theirs := writeOnly(t)
			s.(*pipeStream).stdin.raise.Do(func() {}) // it keeps its size
			all := count(0, halves[0]+halves[1])
			n, err := s.TryWriteBoth(all[:halves[0]], all[halves[0]:])
			require.Equal(t, min(len(all), pipeSize), n)
			if n < len(all) {
				require.ErrorIs(t, err, syscall.EAGAIN)
				again, err := s.TryWriteBoth(all[:1], all[1:])
				require.Zero(t, again)
				require.ErrorIs(t, err, syscall.EAGAIN)
			} else {
				require.NoError(t, err)
			}
			require.NoError(t, s.CloseWrite())
			got, err := io.ReadAll(theirs)
			require.NoError(t, err)
			require.True(t, bytes.Equal(all[:n], got))
		})
	}
}

// The second half of what was begun goes on where the first try ended.
func TestTryWriteBothGoesOn(t *testing.T) {
	s, theirs := writeOnly(t)
	got := make(chan []byte, 1)
	go func() { // ends with the pipe
		b, _ := io.ReadAll(theirs)
		got <- b
	}()
	all := count(0, 3<<20)
	p, q := all[:1<<20], all[1<<20:]
	require.True(t, eventually(func() bool {
		for {
			n, err := s.TryWriteBoth(p, q)
			first := min(n, len(p))
			p, q = p[first:], q[n-first:]
			if err != nil || len(p)+len(q) == 0 {
				return len(p)+len(q) == 0
			}
		}
	}))
	require.NoError(t, s.CloseWrite())
	require.True(t, bytes.Equal(all, <-got))
}

func TestTryWriteBothFails(t *testing.T) {
	s, theirs := writeOnly(t)
	require.NoError(t, theirs.Close())
	n, err := s.TryWriteBoth([]byte("head"), []byte("tail"))
	require.Zero(t, n)
	require.ErrorIs(t, err, syscall.EPIPE)
	require.NoError(t, s.CloseWrite())
	n, err = s.TryWriteBoth([]byte("head"), []byte("tail"))
	require.Zero(t, n)
	require.ErrorIs(t, err, os.ErrClosed)
}

// The errors are the sentinels themselves, and a Read that ended with one leaves the next one as it would have been.
func TestReadEndsAsDocumented(t *testing.T) {
	_, s := cat(t)
	buf := make([]byte, 16)
	n, err := s.Read(nil)
	require.Zero(t, n)
	require.NoError(t, err, "nothing is wanted")

	_, err = io.WriteString(s, "hello")
	require.NoError(t, err)
	s.Interrupt()
	n, err = s.Read(buf)
	require.Zero(t, n, "even if there is something to read")
	require.Equal(t, os.ErrDeadlineExceeded, err)
	s.Resume()
	_, err = io.ReadFull(s, buf[:5])
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:5]))

	require.NoError(t, s.CloseWrite())
	for range 2 {
		n, err = s.Read(buf)
		require.Zero(t, n)
		require.Equal(t, io.EOF, err)
	}
	s.Interrupt()
	_, err = s.Read(buf)
	require.Equal(t, os.ErrDeadlineExceeded, err)
	require.NoError(t, s.Close())
	_, err = s.Read(buf)
	require.Equal(t, os.ErrClosed, err)
}

func init() { programs["splice"] = playSplice }

// playSplice moves nothing between standard input or output and a socket, for three seconds: as long it has the lock of the pipe.
func playSplice(args []string) int {
	time.AfterFunc(3*time.Second, func() { os.Exit(0) })
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	if args[0] == "stdout" { // from a socket in which nothing is
		_, err = unix.Splice(pair[0], nil, 1, nil, pipeSize, 0)
		return int(err.(syscall.Errno))
	}
	for err == nil { // to one that is full
		err = unix.Sendto(pair[0], make([]byte, 4096), unix.MSG_DONTWAIT, nil)
	}
	_, err = unix.Splice(0, nil, pair[0], nil, pipeSize, 0)
	return int(err.(syscall.Errno))
}

// splices says whether a thread of the process is in splice.
func splices(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	for _, path := range tasks {
		if b, _ := os.ReadFile(path); strings.HasPrefix(string(b), fmt.Sprint(unix.SYS_SPLICE, " ")) {
			return true
		}
	}
	return false
}

// Who splices holds the pipe's lock, and reads and writes wait for that whether they block or not. No processor of ours may wait with them: all
// goroutines would at the next garbage collection, those too that were to kill the process.
func TestP50_APipeThatIsLockedHoldsNobodyElse(t *testing.T) {
	transfers := map[string]func(s bothWriter) error{
		"stdin, one":   func(s bothWriter) error { _, err := s.TryWrite([]byte("x")); return err },
		"stdin, two":   func(s bothWriter) error { _, err := s.TryWriteBoth([]byte("x"), []byte("y")); return err },
		"stdout":       func(s bothWriter) error { _, err := s.TryRead(make([]byte, 16)); return err },
		"stdout, wait": func(s bothWriter) error { _, err := s.Read(make([]byte, 16)); return err },
	}
	for name, transfer := range transfers {
		t.Run(name, func(t *testing.T) {
			pipe, _, _ := strings.Cut(name, ",")
			p := play(t, Options{}, "splice", pipe)
			s := p.Stream().(bothWriter)
			_, err := io.WriteString(s, "something to splice")
			require.NoError(t, err)
			require.True(t, eventually(func() bool { return splices(p.PID()) }))
			var begun atomic.Bool
			returned := make(chan error, 1)
			go func() { // ends with the process
				begun.Store(true)
				returned <- transfer(s)
			}()
			require.True(t, eventually(begun.Load))
			for range 3 {
				runtime.GC()
			}
			require.False(t, closedWithin(p.Exited(), 0), "everybody waited")
			require.Empty(t, returned, "the pipe is not locked")
			require.NoError(t, p.Do(Kill))
			wait(t, p.Ended())
			<-returned
		})
	}
}
