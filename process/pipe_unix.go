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

	"golang.org/x/sys/unix"
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

	// One transfer under way, without blocking. There is one user at a time, and what is needed for it is made once, so that none allocates.
	transfer func(fd int, p, q []byte) (int, error)
	once     func(fd uintptr)      // transfers
	ready    func(fd uintptr) bool // likewise, and says whether there is anything to return
	p, q     []byte
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
func newPipeEnd(fd int, name string, transfer func(fd int, p, q []byte) (int, error)) *pipeEnd {
	e := &pipeEnd{file: os.NewFile(uintptr(fd), name), transfer: transfer}
	e.soon.init()
	e.conn, _ = e.file.SyscallConn() // fails for a nil file only
	e.once = e.transferOnce
	e.ready = func(fd uintptr) bool {
		e.transferOnce(fd)
		return e.err != syscall.EAGAIN
	}
	return e
}

func newReadEnd(fd int, name string) *pipeEnd {
	return newPipeEnd(fd, name, func(fd int, p, _ []byte) (int, error) { return syscall.Read(fd, p) })
}

func newWriteEnd(fd int, name string) *pipeEnd {
	return newPipeEnd(fd, name, func(fd int, p, q []byte) (int, error) {
		if len(q) == 0 {
			return syscall.Write(fd, p)
		}
		return unix.Writev(fd, [][]byte{p, q})
	})
}

func (e *pipeEnd) transferOnce(fd uintptr) {
	for {
		e.n, e.err = e.transfer(int(fd), e.p, e.q)
		if e.err != syscall.EINTR {
			return
		}
	}
}

// try does one transfer. It goes through Control, which neither waits for the descriptor's locks nor minds a deadline in the past.
func (e *pipeEnd) try(p, q []byte) (int, error) {
	e.p, e.q = p, q
	err := e.conn.Control(e.once)
	e.p, e.q = nil, nil
	if err != nil {
		return 0, os.ErrClosed
	}
	return max(e.n, 0), e.err
}

// Read waits for something to read.
func (e *pipeEnd) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	e.p = p
	err := e.conn.Read(e.ready)
	e.p = nil
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, os.ErrClosed
	}
	return e.came()
}

// TryRead reads what is there.
func (e *pipeEnd) TryRead(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if n, err := e.try(p, nil); err != nil {
		return n, err
	}
	return e.came()
}

// came is what a read has brought.
func (e *pipeEnd) came() (int, error) {
	switch {
	case e.err != nil:
		return 0, e.err
	case e.n == 0:
		return 0, io.EOF
	case e.n >= pipeSize:
		e.enlarge()
	}
	return e.n, nil
}

// Write waits until all of p has found room.
func (e *pipeEnd) Write(p []byte) (int, error) {
	if len(p) > pipeSize {
		e.enlarge()
	}
	return e.file.Write(p)
}

// TryWrite writes what fits.
func (e *pipeEnd) TryWrite(p []byte) (int, error) { return e.TryWriteBoth(p, nil) }

// TryWriteBoth writes what fits of p and then of q.
func (e *pipeEnd) TryWriteBoth(p, q []byte) (int, error) {
	total := len(p) + len(q)
	if total == 0 {
		return 0, nil
	}
	if total > pipeSize {
		e.enlarge()
	}
	n, err := e.try(p, q)
	if err == nil && n < total {
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
