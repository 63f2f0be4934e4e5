package process

import "io"

// Stream is a process's standard output to read from and its standard input to write to. One goroutine at a time may read and one may
// write; the other methods may be called at any moment, and all of them more than once.
//
// The Stream of a real process also has, for who looks for them by a type assertion, the methods
//
//	TryRead(p []byte) (n int, err error)  // reads what is there; nothing there: 0, syscall.EAGAIN; at the end: 0, io.EOF
//	TryWrite(p []byte) (n int, err error) // writes what fits; a short count comes with syscall.EAGAIN
//	TryWriteBoth(p, q []byte) (n int, err error) // TryWrite for two buffers, one behind the other; neither is empty
//	Interrupt()                           // a Read under way, and later ones, return os.ErrDeadlineExceeded without reading
//	Resume()                              // undoes Interrupt
//	ReadSoon(p []byte, lone bool) (n int, err error) // Linux: Read for callers who expect an answer at once, or for a lone one; see below
//	Unread() (n int, gone bool, err error) // Linux: bytes written that have not been read; gone: nobody is left who could read them
//
// TryRead, TryWrite and TryWriteBoth do not block, the first two do not allocate. TryRead counts as reading and works after Interrupt too; the others count as
// writing.
// A process that splices can hold a pipe's lock, and with it whatever is called on that pipe, until it is killed: no lock should be held meanwhile.
// ReadSoon counts as reading, reads after Interrupt what is there, and may notice Interrupt and Close, which waits for it, 100 µs late: in a
// program with one processor it waits that long on the thread, if it is lone and no other ReadSoon waits.
type Stream interface {
	io.Reader
	io.Writer
	// CloseWrite ends the process's standard input. A Write under way returns an error; what it has written before still arrives.
	CloseWrite() error
	// Close closes both directions. A Read and a Write under way return an error.
	io.Closer
}
