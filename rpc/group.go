package rpc

import (
	"context"
	"math"
	"sync"

	"github.com/stdcrew/stdcrew/framing"
)

// Group is what the connections of one owner share: the goroutine that looks at those that are active, and the memory of calls that have ended. A
// call can be prepared for a group before it is known which of its connections takes it. The zero value is ready for use; it must not be copied, nor
// used inside and outside of a synctest bubble.
type Group struct {
	sweeper sweeper
	used    sync.Pool // of *call; here and not in general, for a channel made in a synctest bubble must not leave it
}

// newCall returns a call that has been used before, if there is one.
func (g *Group) newCall() *call {
	c, ok := g.used.Get().(*call)
	if !ok {
		c = &call{ready: make(chan struct{}, 1)}
	}
	ready, buf, reply := c.ready, c.msg.buf[:0], c.reply[:0]
	*c = call{} // in place: a literal with these in it would be made on the stack, and copied
	c.ready, c.msg.buf, c.reply = ready, buf, reply
	return c
}

// maxKept bounds the buffers that a call keeps for its successors.
const maxKept = 64 << 10

// release keeps the call for its successors, unless whoever was to start it may still come.
func (g *Group) release(c *call) {
	if c.stage == claimed {
		return
	}
	if cap(c.msg.buf) > maxKept {
		c.msg.buf = nil
	}
	if c.owned {
		framing.Recycle(c.reply)
	}
	if cap(c.reply) > maxKept || c.owned {
		c.reply = nil
	}
	c.msg.tail = nil // the caller's
	g.used.Put(c)
}

// Prepared is a call that is encoded, but has no connection yet. Its caller makes it by [Group.Prepare] and ends it by [Peer.Wait] or [Group.Discard]. In
// between it sleeps on Ready, while somebody else finds a connection for the call and sends it there, by [Peer.Start]: then the answer wakes it. Where
// that is not possible it is woken by Tell, and sends the call itself.
type Prepared struct{ call *call }

// stage is how far a prepared call is.
type stage uint8

const (
	prepared stage = iota // it is to be started
	started               // it has been
	declined              // its caller is to send it, and will be told
	claimed               // its caller has not waited for that, and whoever was to start it is to leave it alone
)

// Prepare encodes a call for whichever of the group's connections will take it. The handler's time is what is left of the deadline of ctx, if any, when
// the call is sent. Of o, Budget and Freed mean nothing here. An error is the same as that of [Peer.Call] with the same arguments.
func (g *Group) Prepare(ctx context.Context, method string, args any, o CallOptions) (Prepared, error) {
	c := g.newCall()
	o.Budget = 0
	if deadline, ok := ctx.Deadline(); ok {
		c.deadline = deadline
		o.Budget = math.MaxInt64 // takes the room that any other will need
	}
	if err := c.encode(ctx, method, args, &o); err != nil {
		g.release(c)
		return Prepared{}, &CallError{Delivery: NotSent, Err: err}
	}
	return Prepared{c}, nil
}

// Discard gives up a call that nobody has started or will start.
func (g *Group) Discard(c Prepared) { g.release(c.call) }

// Size is how much memory the call takes while it waits, in bytes.
func (c Prepared) Size() int { return callSize + cap(c.call.msg.buf) + len(c.call.msg.tail) }

// callSize is about what a call takes beside its message, in bytes.
const callSize = 512

// Ready gets one token when the caller is wanted.
func (c Prepared) Ready() <-chan struct{} { return c.call.ready }

// Tell is for whoever finds that the call has no connection, or that its caller has to send it: the caller is woken. It is called at most once.
func (c Prepared) Tell() { c.call.ready <- struct{}{} }
