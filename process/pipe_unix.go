//go:build linux || darwin

package process

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// pipeSize is what a pipe holds.
	pipeSize = 64 << 10
	// largePipeSize is what a pipe is raised to that carries large payloads.
	largePipeSize = 1 << 20
	// maxLargePipes bounds how many pipes of this program are raised at the same time. Beyond a total per user, which 64 of them reach,
	// the kernel gives every new pipe of that user 8 KiB, in other programs too.
	maxLargePipes = 16
)

// largePipes counts the pipes that are raised.
var largePipes atomic.Int32

// pipeEnd is our end of a pipe, non-blocking and in the poller. Its descriptor is never asked for: that would make it blocking.
type pipeEnd struct {
	file *os.File
	conn syscall.RawConn

	// transfer is syscall.Read or syscall.Write. The rest is what one try needs: made once, so that a try does not allocate. There is
	// one user at a time.
	transfer func(fd int, p []byte) (int, error)
	once     func(fd uintptr)
	p        []byte
	n        int
	err      error

	soon soon

	raise sync.Once // raising the size is tried once
	size  atomic.Uint32
}

// What size says of a pipeEnd.
const (
	sizeDefault = iota
	sizeLarge   // it counts as one of largePipes
	sizeClosed  // it does not, and never will
)

// newPipeEnd takes over a non-blocking descriptor.
func newPipeEnd(fd int, name string, transfer func(int, []byte) (int, error)) *pipeEnd {
	e := &pipeEnd{file: os.NewFile(uintptr(fd), name), transfer: transfer}
	e.soon.init()
	e.conn, _ = e.file.SyscallConn() // fails for a nil file only
	e.once = func(fd uintptr) {
		for {
			e.n, e.err = e.transfer(int(fd), e.p)
			if e.err != syscall.EINTR {
				return
			}
		}
	}
	return e
}

// try does one transfer. It goes through Control, which neither waits for the descriptor's locks nor minds a deadline in the past.
func (e *pipeEnd) try(p []byte) (int, error) {
	e.p = p
	err := e.conn.Control(e.once)
	e.p = nil
	if err != nil {
		return 0, os.ErrClosed
	}
	return max(e.n, 0), e.err
}

// Read waits for something to read.
func (e *pipeEnd) Read(p []byte) (int, error) {
	n, err := e.file.Read(p)
	if n >= pipeSize {
		e.enlarge()
	}
	return n, err
}

// TryRead reads what is there.
func (e *pipeEnd) TryRead(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := e.try(p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	if n >= pipeSize {
		e.enlarge()
	}
	return n, err
}

// Write waits until all of p has found room.
func (e *pipeEnd) Write(p []byte) (int, error) {
	if len(p) > pipeSize {
		e.enlarge()
	}
	return e.file.Write(p)
}

// TryWrite writes what fits.
func (e *pipeEnd) TryWrite(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(p) > pipeSize {
		e.enlarge()
	}
	n, err := e.try(p)
	if err == nil && n < len(p) {
		err = syscall.EAGAIN
	}
	return n, err
}

// past is a read deadline that is over.
var past = time.Unix(1, 0)

func (e *pipeEnd) Interrupt() { _ = e.file.SetReadDeadline(past) }
func (e *pipeEnd) Resume()    { _ = e.file.SetReadDeadline(time.Time{}) }

// Close makes a Read or Write under way return an error. Closing twice is no error.
func (e *pipeEnd) Close() error {
	if e.size.Swap(sizeClosed) == sizeLarge {
		largePipes.Add(-1)
	}
	if err := e.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// enlarge raises the pipe's size when the first large payload passes, if the bound allows.
func (e *pipeEnd) enlarge() {
	e.raise.Do(func() {
		if largePipes.Add(1) > maxLargePipes || !e.resize() || !e.size.CompareAndSwap(sizeDefault, sizeLarge) {
			largePipes.Add(-1)
		}
	})
}
