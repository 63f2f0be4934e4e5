package rpc

import (
	"context"
	"fmt"
	"time"

	"github.com/stdcrew/stdcrew/framing"
)

// CallOptions qualify one call. The zero value is a first attempt without metadata, limited by its context alone.
type CallOptions struct {
	Attempt  int               // counts from 1; if zero, 1
	Metadata map[string]string // reaches the handler as Request.Metadata
	Budget   time.Duration     // how long the handler has; if zero, what is left of the context's deadline, if any

	// Freed, if not nil, is called exactly once, when the call's place at the other side is free again: when its terminal message has come and before
	// its caller is told, also where the caller left long before, or when it turned out that it was never sent, or with the connection's end. It may
	// be called on any goroutine, the one that reads for all above all, and must not block. It may start other calls: see Peer.Start.
	Freed func()
}

// calls are the calls that this side made.
type calls struct {
	pending table[call] // those whose callers have left stay until their terminal message
	waiting callList    // callers that neither read nor have their answer
	brief   callList    // those of them that have not waited for long: they do not look at their contexts yet
	left    callList    // calls whose callers have left, in that order
	nextID  uint64
	nonce   uint64 // of the last ping
}

// call is one call, or ping, in flight. All but ready is guarded by the Peer's mutex, unless it is one goroutine's alone: the caller's before it is
// pending and after it has finished, and the reader's between the two.
type call struct {
	id    uint64
	msg   message
	start uint64 // position in the stream of its last frame; frames before that have been begun
	end   uint64 // position behind it; notYet while that frame has not been queued
	begun bool

	ready    chan struct{} // one token each time somebody takes the call out of a list of those that wait
	finished bool
	telling  bool // it has finished, and there will be a token though it was in no list
	ping     bool
	freed    func() // or nil: whoever takes it calls it

	stage    stage     // of a call that was prepared
	budgetAt int       // where in the message its time for the handler is to be put
	deadline time.Time // by which that is counted; zero: there is none

	method  string
	attempt int
	sentAt  time.Duration // on the Peer's clock, give or take a sweep

	left   bool          // the caller is gone; who finishes the call frees its place
	leftAt time.Duration // on the clock of the stalls
	why    error         // it has left
	stuck  bool          // it has left for longer than CancelGrace

	answer msgType // typeReply or typeError, if there was one
	flags  framing.Flags
	reply  []byte
	owned  bool // reply is the caller's: it may become part of the result
	err    error

	wary bool   // its caller looks at its context while it waits
	tick uint64 // of the sweep when it began to wait without

	list       *callList
	prev, next *call
}

// Call makes one call and waits for its answer, for the end of ctx, or for the end of the connection. args and reply may be anything that
// MessagePack encodes; a msgpack.RawMessage is taken as already encoded, and a type with MarshalMsg and UnmarshalMsg, such as github.com/tinylib/msgp
// generates, encodes itself. reply is a pointer, or nil to discard the result. Neither is touched after Call has returned. A *[]byte or
// *msgpack.RawMessage as reply uses the memory again that it points to, if there is enough.
//
// The error is a *RemoteError if the other side answered with one, otherwise a *CallError that says what is known of the call's
// delivery. When ctx ends first the other side is told, and the call keeps its place there until that has answered.
func (p *Peer) Call(ctx context.Context, method string, args, reply any, o CallOptions) error {
	if err := p.checkMethod(method); err != nil {
		free(o.Freed)
		return err
	}
	c := p.group.newCall()
	if err := c.encode(ctx, method, args, &o); err != nil {
		p.group.release(c)
		free(o.Freed)
		return &CallError{Delivery: NotSent, Err: err}
	}
	if err := p.roundTrip(ctx, c, o.Freed); err != nil {
		return err
	}
	return p.conclude(c, reply)
}

// conclude returns what has become of a call that has finished.
func (p *Peer) conclude(c *call, reply any) error {
	free(c.freed)
	err := c.result(reply)
	p.group.release(c)
	return err
}

// roundTrip sends c and waits until it has finished. If it returns an error the call is no longer the caller's.
func (p *Peer) roundTrip(ctx context.Context, c *call, freed func()) error {
	c.freed = freed
	p.mu.Lock()
	if err := p.send(ctx, c); err != nil {
		p.mu.Unlock()
		free(freed)
		return err
	}
	return p.await(ctx, c)
}

// encode writes the call's message behind lead bytes of room.
func (c *call) encode(ctx context.Context, method string, args any, o *CallOptions) error {
	if method == "" || len(method) > maxMethodName {
		return fmt.Errorf("%w: method name %.64q is not 1 to %d bytes long", ErrEncode, method, maxMethodName)
	}
	b := append(c.msg.buf[:0], make([]byte, lead)...)
	b = append(b, 0x94) // an array of 4
	b = appendString(b, method)
	c.budgetAt = len(b) + 1
	b = appendUint(b, budgetMicros(ctx, o.Budget))
	b = appendUint(b, uint64(max(o.Attempt, 1)))
	b, err := appendMetadata(b, o.Metadata)
	var tail []byte
	if err == nil {
		b, tail, err = appendBody(b, args)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEncode, err)
	}
	c.msg.buf, c.msg.tail, c.msg.typ = b, tail, typeCall
	c.method, c.attempt = method, max(o.Attempt, 1)
	return nil
}

// budgetMicros is the time that the handler has, rounded up so that a budget never becomes "no limit".
func budgetMicros(ctx context.Context, budget time.Duration) uint64 {
	if budget == 0 {
		deadline, ok := ctx.Deadline()
		if !ok {
			return 0
		}
		budget = time.Until(deadline)
	}
	return micros(budget)
}

func micros(budget time.Duration) uint64 {
	return (uint64(max(budget, 1)) + uint64(time.Microsecond) - 1) / uint64(time.Microsecond)
}

func appendMetadata(b []byte, metadata map[string]string) ([]byte, error) {
	if len(metadata) == 0 {
		return append(b, 0xc0), nil
	}
	return appendValue(b, metadata)
}

// refusal says why no call can be sent, if so; locked.
func (p *Peer) refusal() error {
	if p.end.goodbye && p.end.err == nil {
		return ErrGoodbye
	}
	return p.lost()
}

// lost says why nothing more can be sent, if so; locked.
func (p *Peer) lost() error {
	if p.end.err == nil && p.out.shut {
		return ErrClosed
	}
	return p.end.err
}

// register makes the call pending and sees to it that the connection is swept; locked.
func (p *Peer) register(c *call) {
	p.calls.pending.put(c.id, c)
	if !p.swept {
		p.sweptAt = p.now()
	}
	c.sentAt = p.sweptAt
	p.reading.quiet = 0
	if p.limits.beat > 0 && !c.ping {
		p.watchWorker()
	}
	if p.intr != nil || !p.host {
		p.wakeSweep()
	}
}

// await waits until the call has finished or ctx has ended; locked, but unlocked when it returns. Who waits and finds nobody reading reads.
func (p *Peer) await(ctx context.Context, c *call) error {
	for !c.finished {
		if p.mayRead() && ctx.Err() == nil {
			p.reading.grant(c)
		}
		if p.reading.holder == c {
			p.mu.Unlock()
			p.readFor(c)
			p.mu.Lock()
			continue
		}
		if p.waitsBriefly(c, ctx) {
			p.mu.Unlock()
			<-c.ready
			p.mu.Lock()
			continue
		}
		p.calls.waiting.push(c)
		p.mu.Unlock()
		select {
		case <-c.ready:
			p.mu.Lock()
		case <-ctx.Done():
			p.mu.Lock()
			if p.leave(c) {
				return p.abandon(ctx, c) // unlocks
			}
		}
	}
	if p.reading.holder == c {
		p.passOn() // it was granted the role, and finished before it could read
	}
	if c.telling {
		p.takeToken(c)
	}
	p.mu.Unlock()
	return nil
}

// result turns the answer into the caller's value or error.
func (c *call) result(reply any) error {
	switch {
	case c.err != nil:
		return c.err
	case c.answer == typeError:
		return c.remoteError()
	}
	taken, err := decodeBody(c.reply, reply, c.owned)
	if err != nil {
		return replyError(c.reply, err)
	}
	if taken {
		c.reply, c.owned = nil, false
	}
	return nil
}

// replyError tells a reply that is no valid value, the other side's fault, from one that does not fit the caller's type.
func replyError(reply []byte, err error) error {
	if bad := checkValue(reply); bad != nil {
		return badReply(reply, bad)
	}
	return &CallError{Delivery: Answered, Err: fmt.Errorf("%w: %w", ErrDecode, err)}
}

// badReply quotes the beginning of what makes no sense.
func badReply(reply []byte, err error) *RemoteError {
	return &RemoteError{Code: CodeBadReply, Message: fmt.Sprintf("%v; it begins with %q", err, reply[:min(len(reply), maxQuoted)])}
}

// maxQuoted bounds, in bytes, what an error quotes of a reply.
const maxQuoted = 32

func (c *call) remoteError() error {
	e := new(RemoteError)
	if err := decodeValue(c.reply, e); err != nil {
		return badReply(c.reply, fmt.Errorf("malformed error message: %w", err))
	}
	e.NotRun = c.flags&framing.NotRun != 0
	e.passedOn = e.NotRun || e.Code == CodeShuttingDown
	return e
}
