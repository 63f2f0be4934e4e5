package rpc_test

import (
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func init() { modes["pipes"] = pipeEnds }

// pipeEnds returns both ends of a connection over two kernel pipes: the host's with everything a stream can have, the worker's with a
// blocking Read as in a worker process.
func pipeEnds(t testing.TB) (host, worker stream) {
	toWorker, toHost := kernelPipe(t), kernelPipe(t)
	for _, fd := range []int{toHost[0], toWorker[1], toHost[1]} {
		require.NoError(t, unix.SetNonblock(fd, true))
	}
	h := &pipeStream{r: os.NewFile(uintptr(toHost[0]), "host-in"), w: os.NewFile(uintptr(toWorker[1]), "host-out")}
	w := &pipeStream{r: os.NewFile(uintptr(toWorker[0]), "worker-in"), w: os.NewFile(uintptr(toHost[1]), "worker-out")}
	h.init(t)
	w.init(t)
	return h, plainStream{tryStream: w}
}

func kernelPipe(t testing.TB) [2]int {
	var p [2]int
	require.NoError(t, unix.Pipe2(p[:], unix.O_CLOEXEC))
	return p
}

type pipeStream struct {
	r, w             *os.File
	rawRead, rawSend syscall.RawConn
}

func (s *pipeStream) init(t testing.TB) {
	var err error
	s.rawRead, err = s.r.SyscallConn()
	require.NoError(t, err)
	s.rawSend, err = s.w.SyscallConn()
	require.NoError(t, err)
}

func (s *pipeStream) Read(p []byte) (int, error)  { return s.r.Read(p) }
func (s *pipeStream) Write(p []byte) (int, error) { return s.w.Write(p) }
func (s *pipeStream) CloseWrite() error           { return s.w.Close() }
func (s *pipeStream) closeRead() error            { return s.r.Close() }

func (s *pipeStream) Close() error {
	_ = s.w.Close()
	return s.r.Close()
}

func (s *pipeStream) TryWrite(p []byte) (n int, err error) {
	rawErr := s.rawSend.Write(func(fd uintptr) bool {
		n, err = unix.Write(int(fd), p)
		return true
	})
	if rawErr != nil {
		return 0, rawErr
	}
	if n < len(p) && err == nil {
		err = unix.EAGAIN
	}
	return max(n, 0), err
}

func (s *pipeStream) TryRead(p []byte) (n int, err error) {
	rawErr := s.rawRead.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), p)
		return true
	})
	if rawErr != nil {
		return 0, rawErr
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

func (s *pipeStream) ReadSoon(p []byte, _ bool) (int, error) { return readSoon(s, p) }

func (s *pipeStream) Interrupt() { _ = s.r.SetReadDeadline(time.Unix(1, 0)) }
func (s *pipeStream) Resume()    { _ = s.r.SetReadDeadline(time.Time{}) }
