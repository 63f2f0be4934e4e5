package rpc

import (
	"context"
	"errors"
	"time"
)

const (
	maxPending  = 4 << 20   // bytes that wait for a full pipe; a sender that finds more waits itself
	bulkPending = 256 << 10 // what may wait before the next part of a large message joins, so that small ones are not held up behind it
	maxIdle     = 512 << 10 // of each buffer, what is kept when nothing is left to write
	writeAtOnce = 256 << 10 // bytes that a goroutine writes before it takes note that they were written
	flushRounds = 16        // how often the holder of the gate writes for others before a goroutine takes over
)

// outbox is what waits to be written. One goroutine at a time, the holder of the gate, touches the descriptor; what others send meanwhile
// collects in queue and is written together.
type outbox struct {
	queue     []byte
	spare     []byte // the other half of the double buffer: the holder's while the gate is closed
	gate      bool   // somebody writes
	delegated bool   // it is a goroutine, because the pipe was full
	gathering gathering
	writes    uint64 // counts what it wrote
	queued    uint64 // position in the stream behind the last byte of queue
	claimed   uint64 // position up to which bytes were, or are just being, handed to the kernel
	space     chan struct{}
	broken    bool // writing has failed, or nobody is to write: what is sent goes nowhere
	shut      bool // CloseWrite has been called: what is sent goes nowhere either
}

// next says where in the stream the frame of that size will stand that is pushed next; locked.
func (o *outbox) next(size int) (start, end uint64) {
	return o.queued, o.queued + uint64(size)
}

// announceSpace wakes those who wait for room or for the gate; locked.
func (o *outbox) announceSpace() {
	if o.space != nil {
		close(o.space)
		o.space = nil
	}
}

func (o *outbox) spaceAnnounced() <-chan struct{} {
	if o.space == nil {
		o.space = make(chan struct{})
	}
	return o.space
}

// take swaps the buffers and returns what to write; locked, the gate is ours.
func (o *outbox) take() []byte {
	o.queue, o.spare = o.spare[:0], o.queue
	o.claimed = o.queued
	o.announceSpace()
	return o.spare
}

// open opens the gate, with nothing left to write; locked.
func (o *outbox) open() {
	o.gate, o.delegated = false, false
	if cap(o.queue) > maxIdle {
		o.queue = nil
	}
	if cap(o.spare) > maxIdle {
		o.spare = nil
	}
	o.announceSpace()
}

// abandon says that nobody is to write any more; locked. Who holds the gate still opens it.
func (o *outbox) abandon() {
	o.broken, o.queue, o.spare = true, nil, nil
	o.announceSpace()
}

// push sends a whole frame, which comes in two halves, or queues it where somebody else writes; locked, but unlocked while it writes. It never
// blocks. The frame is the caller's again when it returns.
func (p *Peer) push(frame, tail []byte) {
	o := &p.out
	if o.broken || o.shut {
		return
	}
	if o.gate || p.try == nil || p.company() && len(tail) == 0 {
		p.pushCopy(frame, tail)
		return
	}
	o.queued += uint64(len(frame) + len(tail))
	o.gate = true
	o.claimed = o.queued
	if p.tryWrite(frame, tail) {
		p.flush()
	}
}

// pushCopy queues a whole frame and sees to it that it is written; locked, but unlocked while it writes.
func (p *Peer) pushCopy(frame, tail []byte) {
	o := &p.out
	o.queued += uint64(len(frame) + len(tail))
	o.queue = append(append(o.queue, frame...), tail...)
	switch {
	case o.gate:
		if o.gathering.on {
			p.gathered()
		}
	case p.try == nil:
		o.gate = true
		p.startWriter(nil)
	case p.company():
		p.gather()
	default:
		o.gate = true
		p.flush()
	}
}

// tryWrite writes b and then tail without blocking; locked, but unlocked while it writes. If it returns false the gate has passed to a
// goroutine, or writing has failed.
func (p *Peer) tryWrite(b, tail []byte) bool {
	p.mu.Unlock()
	n, err := p.tryBoth(b, tail)
	p.mu.Lock()
	left := len(b) + len(tail) - n
	switch {
	case left == 0:
		return true
	case err == nil, errors.Is(err, ErrWouldBlock):
		rest := append(make([]byte, 0, left), b[min(n, len(b)):]...)
		p.startWriter(append(rest, tail[len(tail)-(left-len(rest)):]...))
	default:
		p.writeFailed(err, left)
	}
	return false
}

// tryBoth writes b and then tail, in one go if the stream can; not locked, but with the gate.
func (p *Peer) tryBoth(b, tail []byte) (n int, err error) {
	if len(tail) > 0 && p.both != nil {
		return p.both.TryWriteBoth(b, tail)
	}
	n, err = p.try.TryWrite(b)
	if n == len(b) && len(tail) > 0 {
		var more int
		more, err = p.try.TryWrite(tail)
		n += more
	}
	return n, err
}

// flush writes what others have queued and opens the gate; locked, but unlocked while it writes.
func (p *Peer) flush() {
	o := &p.out
	for range flushRounds {
		if len(o.queue) == 0 {
			o.open()
			return
		}
		if !p.tryWrite(o.take(), nil) {
			return
		}
	}
	p.startWriter(nil)
}

// startWriter passes the gate to a goroutine; locked.
func (p *Peer) startWriter(rest []byte) {
	if p.out.broken {
		p.out.open() // Close has come in between
		return
	}
	p.tasks.Add(1)
	p.out.delegated = true
	if p.limits.write > 0 && p.phase == open {
		p.wakeSweep() // it sees whether anything moves
	}
	go p.writeOn(rest) // ends when nothing is left to write, or the stream is closed or broken
}

// writeOn holds the gate. It writes rest and then what has been queued until nothing is left.
func (p *Peer) writeOn(rest []byte) {
	defer p.tasks.Done()
	for {
		n, err := 0, error(nil)
		if len(rest) > 0 {
			n, err = p.stream.Write(rest[:min(len(rest), writeAtOnce)])
		}
		p.mu.Lock()
		p.out.writes++
		if err != nil {
			p.writeFailed(err, len(rest)-n)
			p.mu.Unlock()
			return
		}
		if rest = rest[n:]; len(rest) > 0 {
			p.mu.Unlock()
			continue
		}
		if len(p.out.queue) == 0 {
			p.out.open()
			p.mu.Unlock()
			return
		}
		rest = p.out.take()
		p.mu.Unlock()
	}
}

// writeFailed ends writing, with so many bytes of the last write left over; locked. What can still be read is not lost by it.
func (p *Peer) writeFailed(err error, left int) {
	o := &p.out
	o.claimed -= uint64(left)
	o.gate, o.delegated = false, false
	o.abandon()
	if p.host && p.phase != open {
		return // why the worker does not read, such as an init_error, may still be read
	}
	p.lose(err)
	if !p.hold {
		freed := p.abort(p.end.err)
		p.mu.Unlock()
		free(freed...)
		p.mu.Lock()
	}
}

// CloseWrite writes what is queued, until ctx ends, and then closes our direction: the worker's standard input ends. Calls fail from here on;
// those in flight are still answered. Streams that cannot close one direction are left as they are.
func (p *Peer) CloseWrite(ctx context.Context) error {
	w, ok := p.stream.(WriteCloser)
	if !ok {
		return nil
	}
	p.mu.Lock()
	p.out.shut = true
	p.handOver() // if it is a handler that closes: what others have answered is to be written
	p.awaitGate(ctx.Done())
	p.mu.Unlock()
	return w.CloseWrite()
}

// awaitGate waits until nobody writes; locked, but unlocked while it waits.
func (p *Peer) awaitGate(done <-chan struct{}) {
	for p.out.gate {
		space := p.out.spaceAnnounced()
		p.mu.Unlock()
		select {
		case <-space:
		case <-done:
			p.mu.Lock()
			return
		}
		p.mu.Lock()
	}
}

// after returns a channel that is closed after d, and what releases it.
func after(d time.Duration) (<-chan struct{}, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	return ctx.Done(), cancel
}
