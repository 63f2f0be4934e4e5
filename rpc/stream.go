package rpc

import (
	"io"
	"syscall"
)

// Stream is what a Peer works on: Read returns what the other side wrote, Write sends to it. One goroutine at a time reads and one
// writes. Close ends both directions and makes a Read and a Write under way return.
//
// What a stream can do beyond that decides how the Peer uses it. With [TryWriter] callers write themselves; without, a goroutine
// writes for them. With [Interrupter] callers read themselves while they wait; without, a goroutine reads for them.
type Stream interface {
	io.Reader
	io.Writer
	io.Closer
}

// WriteCloser is a Stream whose outgoing direction can be ended alone, as a worker's standard input.
type WriteCloser interface {
	CloseWrite() error
}

// TryWriter is a Stream that can be written to without blocking.
type TryWriter interface {
	// TryWrite writes what fits. A short count comes with ErrWouldBlock, or with what broke the stream.
	TryWrite(p []byte) (n int, err error)
}

// BothWriter is a [TryWriter] that writes two buffers as cheaply as one.
type BothWriter interface {
	// TryWriteBoth writes what fits of p and then, if that has fitted, of q. n counts both. Neither is empty.
	TryWriteBoth(p, q []byte) (n int, err error)
}

// Interrupter is a Stream whose Read can be called off.
type Interrupter interface {
	// TryRead reads what is there. When nothing is, it returns 0 and ErrWouldBlock.
	TryRead(p []byte) (n int, err error)
	// Interrupt makes a Read under way, and all later ones, return os.ErrDeadlineExceeded without reading.
	Interrupt()
	// Resume undoes Interrupt.
	Resume()
}

// SoonReader is a Stream with a Read for callers, who expect an answer at once.
type SoonReader interface {
	// ReadSoon is Read, but may read what is there even when it is interrupted, and take note of an interruption, or of Close, a moment later.
	// It is lone if the other side takes one call at a time: nobody else expects an answer from there.
	ReadSoon(p []byte, lone bool) (n int, err error)
}

// Unreader is a Stream that can tell how much of what was written has not been read yet, in bytes. With it a call whose last byte a dead
// worker has never read is known not to have been executed.
type Unreader interface {
	// Unread may be called at any moment, and may block as long as the other side lives. gone says that nobody is left who could read: n is final.
	Unread() (n int, gone bool, err error)
}

// ErrWouldBlock says that TryRead or TryWrite could not go on without blocking.
var ErrWouldBlock error = syscall.EAGAIN
