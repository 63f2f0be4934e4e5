package rpc

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/stdcrew/stdcrew/framing"
)

// send gives the call an id and puts it on its way; locked, but unlocked while it waits or writes. An error means that it was not sent.
// A ctx that ends while parts of a large message are on their way is left to await. Ids rise in the order of the first frames: from the id to
// the first frame nothing waits.
func (p *Peer) send(ctx context.Context, c *call) error {
	if ctx.Err() != nil {
		return &CallError{Delivery: NotSent, Err: context.Cause(ctx)}
	}
	if c.msg.size() > p.outLimit {
		return &CallError{Delivery: NotSent, Err: fmt.Errorf("%w: %d bytes are over the limit of %d; raise MaxMessage on the receiving side or send less",
			ErrTooLarge, c.msg.size(), p.outLimit)}
	}
	p.handOver() // if a handler calls back: its answer must be read
	if !p.room(c.msg.pending(p.outFrame), c, ctx.Done(), p.done) && ctx.Err() != nil {
		return &CallError{Delivery: NotSent, Err: context.Cause(ctx)}
	}
	if err := p.refusal(); err != nil {
		return &CallError{Delivery: NotSent, Err: err}
	}
	p.number(c)
	if c.msg.cut(p.outFrame) {
		p.pushParts(&c.msg, c.id, c, ctx.Done())
		return nil
	}
	frame, tail := c.msg.whole(c.id)
	c.start, c.end = p.out.next(len(frame) + len(tail))
	p.push(frame, tail)
	return nil
}

// number gives the call an id, the next one, and the time that is left to it; locked.
func (p *Peer) number(c *call) {
	if !c.deadline.IsZero() {
		binary.BigEndian.PutUint64(c.msg.buf[c.budgetAt:], micros(time.Until(c.deadline)))
	}
	c.id = p.calls.nextID
	p.calls.nextID += 2
	p.register(c)
}

// room waits until no more than limit bytes are queued, or c, which may be nil, has finished; locked, but unlocked while it waits. It reports
// false when one of the two channels, which may be nil, ended the wait.
func (p *Peer) room(limit int, c *call, done, lost <-chan struct{}) bool {
	for len(p.out.queue) > limit && (c == nil || !c.finished) {
		space := p.out.spaceAnnounced()
		p.mu.Unlock()
		select {
		case <-space:
		case <-done:
			p.mu.Lock()
			return false
		case <-lost:
			p.mu.Lock()
			return false
		}
		p.mu.Lock()
	}
	return true
}

// pushParts sends a message in several frames, the first at once and each further one when there is room; locked, but unlocked while it waits
// or writes. If the message is a call, c, then done, the end of the connection, or an answer that comes too early stops it between two frames.
func (p *Peer) pushParts(m *message, id uint64, c *call, done <-chan struct{}) {
	binary.BigEndian.PutUint32(m.buf[framing.HeaderSize:], uint32(m.size()))
	var lost <-chan struct{}
	if c != nil {
		c.begun, c.end, lost = true, notYet, p.done
	}
	end := len(m.buf) + len(m.tail)
	for at := framing.HeaderSize; at < end; {
		if c != nil && (c.finished || p.lost() != nil) {
			p.control(typeCancel, 0, id, nil) // in place of the rest
			return
		}
		n := min(end-at, p.outFrame)
		h := framing.Header{Type: m.typ, Flags: m.flags, ID: id}
		if at+n < end {
			h.Flags |= framing.More
		} else if c != nil {
			c.start, c.end = p.out.next(framing.HeaderSize + n)
		}
		p.push(m.part(at, n, h))
		if at += n; at < end && !p.room(bulkPending, c, done, lost) {
			return
		}
	}
}

// control sends a frame of the connection or of a call; locked.
func (p *Peer) control(typ msgType, flags framing.Flags, id uint64, payload []byte) {
	frame := framing.Header{Type: typ, Flags: flags, Length: uint32(len(payload)), ID: id}.Append(make([]byte, 0, framing.HeaderSize+len(payload)))
	p.push(append(frame, payload...), nil)
}

// controlValue sends v, one of our own messages, which always encodes.
func (p *Peer) controlValue(typ msgType, v any) error {
	b, err := appendValue(nil, v)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out.broken || p.out.shut {
		return p.lost()
	}
	if len(b) > p.outFrame {
		return fmt.Errorf("%w: %s of %d bytes is over the limit of %d", ErrTooLarge, typeName(typ), len(b), p.outFrame)
	}
	p.control(typ, 0, 0, b)
	return nil
}

// revoke says what is known of a call that was not answered, and sees to it that one of which the last byte has not been handed to the kernel
// never is complete: its last frame becomes padding, so that the frames behind it keep their positions; locked.
func (p *Peer) revoke(c *call) Delivery {
	o := &p.out
	if c.end <= o.claimed {
		return Unknown
	}
	if c.end != notYet && !o.broken {
		frame := o.queue[c.start-o.claimed:] // what is queued begins where the claimed part ends
		framing.Header{Type: typePad, Flags: framing.Ignorable, Length: uint32(c.end - c.start - framing.HeaderSize)}.Put(frame)
	}
	return NotSent
}

// notYet is the end of a call whose last byte has not even been queued.
const notYet = math.MaxUint64
