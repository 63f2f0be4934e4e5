package rpc

import (
	"errors"
	"time"
)

const (
	drainLimit = 32 << 20               // bytes: a grandchild that writes without end cannot keep Drain
	drainWait  = 100 * time.Millisecond // for a write under way to fail, and for the end of a stream that cannot be interrupted
)

// Drain is for a connection whose process is gone. It delivers the complete replies that can be read without waiting, fails the rest with
// cause and closes the stream. Somebody else may still hold the other end of the pipe open: Drain does not wait for its end.
func (p *Peer) Drain(cause error) {
	p.mu.Lock()
	p.lose(cause)
	if p.takeRole() {
		p.mu.Unlock()
		p.readRest()
		p.mu.Lock()
		p.readEnd(cause)
	}
	p.mu.Unlock()
	p.settle()
	p.Abort(cause)
	_ = p.Close() // the error is the dead process's pipe
}

// takeBack counts what nobody has read, and nobody can read any more, as not written.
func (p *Peer) takeBack(timeout <-chan struct{}) {
	if p.count == nil {
		return
	}
	if _, gone, err := p.count.Unread(); !gone || err != nil {
		return // a write under way may go on: somebody else holds the worker's end
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.shut = true
	p.awaitGate(timeout) // a write under way fails
	n, gone, err := p.count.Unread()
	if err == nil && gone && !p.out.gate {
		p.out.abandon()
		p.out.claimed -= min(uint64(n), p.out.claimed)
	}
}

// readRest reads and delivers what is there, with the role held.
func (p *Peer) readRest() {
	for total := 0; total < drainLimit; {
		if p.consume() != nil {
			return
		}
		n, err := p.intr.TryRead(p.in.Space())
		p.in.Filled(n)
		total += n
		if n == 0 || err != nil && !errors.Is(err, ErrWouldBlock) {
			break
		}
	}
	_ = p.consume()
}

// settle waits, within bounds, until what was written is known and, where the stream could not be read here, read to its end.
func (p *Peer) settle() {
	timeout, stop := after(drainWait)
	defer stop()
	p.takeBack(timeout)
	if w, ok := p.stream.(WriteCloser); ok {
		_ = w.CloseWrite() // a write under way returns
	}
	p.mu.Lock()
	p.awaitGate(timeout)
	p.mu.Unlock()
	if p.intr == nil {
		select {
		case <-p.ended:
		case <-timeout:
		}
	}
}
