package rpc_test

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/stdcrew/stdcrew/rpc"
)

// ringEnds returns both ends of a connection in memory. The host's has everything that a stream can have, and it works in a synctest bubble.
// Like a pipe of the operating system each direction holds 64 KiB.
func ringEnds(testing.TB) (host, worker stream) {
	toWorker, toHost := newRing(), newRing()
	return &ringStream{toHost, toWorker}, plainStream{tryStream: &ringStream{toWorker, toHost}}
}

const ringSize = 64 << 10

// ring is one direction.
type ring struct {
	mu          sync.Mutex
	changed     *sync.Cond
	buf         []byte
	readClosed  bool
	writeClosed bool
	interrupted bool
}

func newRing() *ring {
	r := new(ring)
	r.changed = sync.NewCond(&r.mu)
	return r
}

func (r *ring) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.changed.Broadcast()
}

func (r *ring) read(p []byte, wait bool) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.readClosed:
			return 0, os.ErrClosed
		case r.interrupted && wait:
			return 0, os.ErrDeadlineExceeded // even if there is something to read: P43
		case len(r.buf) > 0:
			n := copy(p, r.buf)
			r.buf = append([]byte(nil), r.buf[n:]...)
			r.changed.Broadcast()
			return n, nil
		case r.writeClosed:
			return 0, io.EOF
		case !wait:
			return 0, rpc.ErrWouldBlock
		}
		r.changed.Wait()
	}
}

func (r *ring) write(p []byte, wait bool) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if r.writeClosed {
			return n, os.ErrClosed
		}
		if r.readClosed {
			return n, errBrokenPipe
		}
		some := min(len(p)-n, ringSize-len(r.buf))
		r.buf = append(r.buf, p[n:n+some]...)
		r.changed.Broadcast()
		if n += some; n == len(p) {
			return n, nil
		}
		if !wait {
			return n, rpc.ErrWouldBlock
		}
		r.changed.Wait()
	}
}

var errBrokenPipe = errors.New("broken pipe")

type ringStream struct{ in, out *ring }

func (s *ringStream) Read(p []byte) (int, error)             { return s.in.read(p, true) }
func (s *ringStream) TryRead(p []byte) (int, error)          { return s.in.read(p, false) }
func (s *ringStream) ReadSoon(p []byte, _ bool) (int, error) { return readSoon(s, p) }
func (s *ringStream) Write(p []byte) (int, error)            { return s.out.write(p, true) }
func (s *ringStream) TryWrite(p []byte) (int, error)         { return s.out.write(p, false) }
func (s *ringStream) TryWriteBoth(p, q []byte) (int, error) {
	return s.out.write(append(append([]byte(nil), p...), q...), false)
}

func (s *ringStream) Interrupt() { s.in.change(func() { s.in.interrupted = true }) }
func (s *ringStream) Resume()    { s.in.change(func() { s.in.interrupted = false }) }

// readSoon is a ReadSoon that waits no differently: it may only read what is there even when it is interrupted.
func readSoon(s interface {
	io.Reader
	rpc.Interrupter
}, p []byte) (int, error) {
	if n, err := s.TryRead(p); !errors.Is(err, rpc.ErrWouldBlock) {
		return n, err
	}
	return s.Read(p)
}

func (s *ringStream) closeRead() error {
	s.in.change(func() { s.in.readClosed = true })
	return nil
}

func (s *ringStream) CloseWrite() error {
	s.out.change(func() { s.out.writeClosed = true })
	return nil
}

func (s *ringStream) Close() error {
	_ = s.CloseWrite()
	return s.closeRead()
}

// quickEnds is ringEnds for a worker whose handlers are taken to be quick, whatever they are.
func quickEnds(t testing.TB) (host, worker stream) {
	host, worker = ringEnds(t)
	return host, plainStream{worker.(plainStream).tryStream, true}
}

// aboutToServe is to be called with a worker's Peer.
func aboutToServe(p *rpc.Peer, s stream) {
	if s, ok := s.(plainStream); ok && s.quick {
		p.RunInline()
	}
}

// plainStream hides what a worker's end does not have: its Read cannot be called off.
type plainStream struct {
	tryStream
	quick bool
}

type tryStream interface {
	stream
	rpc.TryWriter
}
