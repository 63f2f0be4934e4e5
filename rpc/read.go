package rpc

import (
	"errors"
	"io"
	"os"
)

// role says who reads. Exactly one goroutine has it at a time and with it the buffer and the half-read frame in it.
type role uint8

const (
	nobody          role = iota
	callerReads          // a caller that waits for its own answer: reading.holder
	backgroundReads      // a goroutine of the Peer's
	drainerReads         // Drain, after the worker's death
	serverReads          // the worker's serving goroutine
)

// reading is who reads, and what the sweep needs to know of it. The role is a field under the mutex and never only a token in a channel, so
// that whoever leaves can see whether it has been granted it.
type reading struct {
	role   role
	holder *call
	seq    uint64 // counts the grants to callers
	seen   uint64 // seq at the last sweep
	quiet  int    // sweeps since the last call
	kicked bool   // the stream is interrupted: the reader is to give the role up

	drainer chan struct{} // Drain waits for the role
}

func (r *reading) grant(c *call) {
	r.role, r.holder = callerReads, c
	r.seq++
}

// quietSweeps is how many sweeps without a call it takes until a goroutine reads, so that the end of an idle connection is seen.
const quietSweeps = 4

// mayRead reports whether a caller may take the reading role; locked.
func (p *Peer) mayRead() bool {
	return p.reading.role == nobody && p.intr != nil && p.host && !p.end.read && !p.end.aborted && p.reading.drainer == nil
}

// readFor reads until c has finished, the role is wanted back or the stream ends; not locked. The role is c's when it begins and passed on
// when it returns.
func (p *Peer) readFor(c *call) {
	for {
		err := p.consume()
		p.mu.Lock()
		p.noteFrame()
		if err == nil && (c.finished || p.reading.kicked) {
			p.passOn()
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if err == nil {
			err = p.fillSoon()
		}
		if err != nil {
			p.broken(err)
			return
		}
	}
}

// fillSoon is fill for a caller. With several calls in flight the reader has others to serve, which want to run meanwhile.
func (p *Peer) fillSoon() error {
	if p.soon == nil {
		return p.fill()
	}
	return p.filled(p.soon.ReadSoon(p.in.Space(), p.capacity == 1))
}

// fill reads once into the buffer.
func (p *Peer) fill() error { return p.filled(p.stream.Read(p.in.Space())) }

// filled takes note of what was read. Being interrupted is not an error.
func (p *Peer) filled(n int, err error) error {
	p.in.Filled(n)
	p.received += uint64(n)
	if n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if errors.Is(err, io.EOF) && p.in.Pending() > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// passOn gives the reading role to who should have it next; locked. Callers come first, the oldest first; a goroutine reads where no caller
// waits but answers are still to come, and where the last holder was kicked because it held the role for long.
func (p *Peer) passOn() {
	r := &p.reading
	kicked := r.kicked
	if kicked {
		r.kicked = false
		p.intr.Resume()
	}
	r.role, r.holder = nobody, nil
	switch {
	case p.end.read:
	case r.drainer != nil:
		r.role = drainerReads
		r.drainer <- struct{}{}
	case kicked || p.end.aborted:
		p.readInBackground()
	case p.calls.waiting.first != nil || p.calls.brief.first != nil:
		c := p.calls.waiting.pop()
		if c == nil {
			c = p.calls.brief.pop()
		}
		r.grant(c)
		c.ready <- struct{}{}
	case p.calls.pending.count > 0:
		p.readInBackground()
	default:
		p.wakeSweep() // it sees to it that the quiet connection is read
	}
}

// readInBackground gives the reading role to a goroutine; locked.
func (p *Peer) readInBackground() {
	if p.end.closed {
		return
	}
	p.reading.role = backgroundReads
	p.tasks.Add(1)
	go p.readOn() // ends when it gives the role up, or the stream ends
}

// readOn reads until the connection has been used and nothing more is pending, then leaves the role to callers. It is never interrupted for a
// caller's sake: their answers reach them through it. Without an Interrupter it reads to the end.
func (p *Peer) readOn() {
	defer p.tasks.Done()
	for used := false; ; used = true {
		err := p.consume()
		p.mu.Lock()
		p.noteFrame()
		if r := &p.reading; err == nil && (r.kicked || used && p.intr != nil && p.calls.pending.count == 0 && !p.end.aborted && p.phase == open) {
			p.passOn()
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if err == nil {
			err = p.explain(p.fill())
		}
		if err != nil {
			p.broken(err)
			return
		}
	}
}

// kick makes the reader give the role up soon; locked.
func (p *Peer) kick() {
	if p.intr != nil && !p.reading.kicked {
		p.reading.kicked = true
		p.intr.Interrupt()
	}
}

// takeRole waits until Drain may read, and reports false if there is nothing left to read; locked, but unlocked while it waits.
func (p *Peer) takeRole() bool {
	r := &p.reading
	if p.end.read || p.intr == nil || !p.host {
		return false
	}
	granted := make(chan struct{}, 1)
	switch r.role {
	case nobody:
		r.role = drainerReads
		return true
	case drainerReads: // its end is awaited
	default:
		r.drainer = granted
		p.kick()
	}
	p.mu.Unlock()
	select {
	case <-granted:
	case <-p.ended:
	}
	p.mu.Lock()
	if r.drainer == granted {
		r.drainer = nil
	}
	return !p.end.read
}
