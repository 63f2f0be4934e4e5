package rpc

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// InFlight is a call that this side has made and whose place at the other side is taken.
type InFlight struct {
	Method  string
	Attempt int           // 1 for the first
	Age     time.Duration // since it was sent, to within some milliseconds
	// Left is why its caller no longer waits: the cause of its context's end. Nil: it waits.
	Left error
	// Stuck says that the other side has not answered it within CancelGrace after the caller has left.
	Stuck bool
}

// InFlight returns the calls that this side has made and that take a place at the other side, oldest first.
func (p *Peer) InFlight() []InFlight {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	all := make([]InFlight, 0, p.calls.pending.count)
	for c := range p.calls.pending.all() {
		if c.ping {
			continue
		}
		all = append(all, InFlight{Method: c.method, Attempt: c.attempt, Age: now - c.sentAt, Left: c.why, Stuck: c.stuck})
	}
	slices.SortFunc(all, func(a, b InFlight) int { return cmp.Compare(b.Age, a.Age) })
	return all
}

// leave takes the call out of the waiting list because its caller wakes up untold; locked, but unlocked while it waits. It returns false if the call
// has finished meanwhile. A grant of the reading role that came at the same moment is passed on.
func (p *Peer) leave(c *call) bool {
	if !p.calls.waiting.remove(c) {
		p.takeToken(c)
		if p.reading.holder == c {
			p.passOn()
		}
	}
	return !c.finished
}

// abandon ends the caller's part in a call after its ctx has ended; locked, but unlocked when it returns. A call of which nothing has been
// written is withdrawn, any other is canceled and keeps its place until its terminal message.
func (p *Peer) abandon(ctx context.Context, c *call) error {
	err := &CallError{Delivery: p.revoke(c), Err: context.Cause(ctx)}
	answered := p.calls.pending.get(c.id) != c // by a worker that did not wait for the call; the reader has it in hand
	if c.ping || err.Delivery == NotSent && !c.begun && !answered {
		p.calls.pending.remove(c.id)
		p.mu.Unlock()
		free(c.freed)
		p.group.release(c)
		return err
	}
	c.left, c.leftAt, c.why = true, p.stalls.clock, err.Err
	p.calls.left.push(c)
	p.control(typeCancel, 0, c.id, nil)
	if p.reading.role == nobody && !p.end.read && p.intr != nil {
		p.readInBackground() // somebody must see the terminal message
	}
	if p.limits.cancel > 0 {
		p.wakeSweep()
	}
	p.mu.Unlock()
	return err
}

// complete takes a call that has its answer or its error out of the tables; locked. It reports whether the caller is to be woken by a token.
func (p *Peer) complete(c *call) (asleep bool) {
	p.calls.pending.remove(c.id)
	c.finished = true
	if c.end == notYet {
		p.out.announceSpace() // its caller is still sending it
	}
	return p.calls.waiting.remove(c) || p.calls.brief.remove(c)
}

// finish ends a call that has failed and wakes its caller, who gives back its place; locked. If the caller has left it returns what is to be
// called, if anything, because the place is free.
func (p *Peer) finish(c *call) (freed func()) {
	asleep := p.complete(c)
	if c.left {
		return p.bury(c)
	}
	if asleep {
		c.ready <- struct{}{}
	}
	return nil
}

// bury ends a call whose caller has left, and returns what is to be called because its place is free; locked.
func (p *Peer) bury(c *call) (freed func()) {
	p.calls.left.remove(c)
	freed = c.freed
	p.group.release(c)
	return freed
}
