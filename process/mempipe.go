package process

import (
	"io"
	"os"
	"sync"
	"syscall"
)

// memPipeSize bounds what waits in an in-memory pipe. It is what a pipe of Linux holds.
const memPipeSize = 64 << 10

// memPipe behaves like a pipe of the operating system: writes wait for room, what was written before the writer's end was closed can still
// be read, writing without a reader is EPIPE. It blocks only on a condition, so it works in a synctest bubble.
type memPipe struct {
	mu          sync.Mutex
	changed     sync.Cond
	buf         []byte
	readClosed  bool
	writeClosed bool
	interrupted bool // reads return os.ErrDeadlineExceeded
}

func newMemPipe() *memPipe {
	p := &memPipe{}
	p.changed.L = &p.mu
	return p
}

// Read waits for something to read.
func (p *memPipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.interrupted && !p.readClosed {
			return 0, os.ErrDeadlineExceeded
		}
		if n, err := p.take(b); err != syscall.EAGAIN {
			return n, err
		}
		p.changed.Wait()
	}
}

// TryRead reads what is there.
func (p *memPipe) TryRead(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(b)
}

func (p *memPipe) take(b []byte) (int, error) {
	switch {
	case p.readClosed:
		return 0, os.ErrClosed
	case len(b) == 0:
		return 0, nil
	case len(p.buf) > 0:
		n := copy(b, p.buf)
		p.buf = append(p.buf[:0], p.buf[n:]...)
		p.changed.Broadcast()
		return n, nil
	case p.writeClosed:
		return 0, io.EOF
	default:
		return 0, syscall.EAGAIN
	}
}

// Write waits until all of b has found room.
func (p *memPipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for written := 0; ; {
		if p.writeClosed {
			return written, os.ErrClosed
		}
		if p.readClosed {
			return written, syscall.EPIPE
		}
		n := min(len(b)-written, memPipeSize-len(p.buf))
		if n > 0 {
			p.buf = append(p.buf, b[written:written+n]...)
			written += n
			p.changed.Broadcast()
		}
		if written == len(b) {
			return written, nil
		}
		p.changed.Wait()
	}
}

// Interrupt calls reading off.
func (p *memPipe) Interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interrupted = true
	p.changed.Broadcast()
}

// Close closes the reading end.
func (p *memPipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readClosed, p.buf = true, nil
	p.changed.Broadcast()
	return nil
}

func (p *memPipe) closeWrite() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeClosed = true
	p.changed.Broadcast()
}

// memWriter is the writing end.
type memWriter struct{ pipe *memPipe }

func (w memWriter) Write(b []byte) (int, error) { return w.pipe.Write(b) }

func (w memWriter) Close() error {
	w.pipe.closeWrite()
	return nil
}

// memReader is the reading end, without the methods that its user has no business with.
type memReader struct{ pipe *memPipe }

func (r memReader) Read(b []byte) (int, error) { return r.pipe.Read(b) }

func (r memReader) Close() error { return r.pipe.Close() }

// memStream is the Stream of an in-memory process.
type memStream struct{ in, out *memPipe }

func (s memStream) Read(b []byte) (int, error)  { return s.out.Read(b) }
func (s memStream) Write(b []byte) (int, error) { return s.in.Write(b) }

func (s memStream) CloseWrite() error {
	s.in.closeWrite()
	return nil
}

func (s memStream) Close() error {
	s.in.closeWrite()
	return s.out.Close()
}
