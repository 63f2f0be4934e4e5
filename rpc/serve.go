package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stdcrew/stdcrew/framing"
)

// serving is the calls that this side answers.
type serving struct {
	running   table[incoming]
	answering int    // answers that are being sent; their calls no longer run
	lastID    uint64 // highest id seen
	accepted  uint64 // highest id that a handler got
	ready     bool

	// With one call at a time, or while handlers are quick, the goroutine that reads runs the handler: busy. A generation number says who reads.
	busy     bool
	gen      uint64
	seq      uint64 // counts handlers started so
	seen     uint64 // seq at the last sweep
	inlining inlining

	// Otherwise handlers run on goroutines that are used again and again.
	work chan *incoming
	idle int // goroutines that wait for work, or soon will

	leaving bool          // goodbye as soon as nothing runs
	reason  string        // of the goodbye
	left    bool          // goodbye has been said
	said    chan struct{} // closed then
}

// incoming is one call that runs here.
type incoming struct {
	id     uint64
	ctx    *callContext
	req    Request
	msg    message // the answer
	inline bool    // its handler runs on the goroutine that reads, or read
	gen    uint64  // who that was
}

var incomingPool = sync.Pool{New: func() any { return new(incoming) }}

func (in *incoming) release() {
	if in.req.body != nil {
		framing.Recycle(in.req.body)
	}
	if cap(in.req.buf) > maxKept {
		in.req.buf = nil
	}
	if cap(in.msg.buf) > maxKept {
		in.msg.buf = nil
	}
	*in = incoming{req: Request{buf: in.req.buf[:0]}, msg: message{buf: in.msg.buf[:0]}}
	incomingPool.Put(in)
}

// Serve reads and serves calls until the stream ends, and returns why it did: io.EOF for the ordinary end. Handlers may still be running
// then; their contexts are over.
func (p *Peer) Serve() error {
	p.mu.Lock()
	if p.end.closed {
		p.mu.Unlock()
		return p.Err()
	}
	p.reading.role = serverReads
	p.tasks.Add(1)
	p.mu.Unlock()
	go p.serveOn() // ends when another one reads, or the stream ends: the caller does not wait for a handler that runs on it
	<-p.ended
	return p.Err()
}

// serveOn reads and serves until another goroutine has taken over or the stream ends. Whoever reads is one of the Peer's tasks: that passes on
// with the role, so that a goroutine whose handler runs for long is not waited for.
func (p *Peer) serveOn() {
	for {
		err := p.consume()
		if err == nil {
			err = p.fill()
		}
		if errors.Is(err, errRoleLost) {
			return
		}
		if err != nil {
			p.broken(err)
			p.tasks.Done()
			return
		}
	}
}

// newID checks the id of a call's first frame; locked.
func (p *Peer) newID(id uint64) error {
	if id <= p.serving.lastID || id&1 == 1 == !p.host {
		return fmt.Errorf("call id %d after %d", id, p.serving.lastID)
	}
	p.serving.lastID = id
	return nil
}

// called takes a call, or refuses it.
func (p *Peer) called(m framing.Message) error {
	in := incomingPool.Get().(*incoming)
	malformed := in.parse(m, p.own)
	p.mu.Lock()
	s := &p.serving
	if !m.Cut { // otherwise it was checked when it began: others may have overtaken it
		if err := p.newID(m.ID); err != nil {
			p.mu.Unlock()
			return &ProtocolError{Err: err}
		}
	}
	refusal := p.refuse(m)
	if refusal == nil && malformed != nil {
		refusal = &RemoteError{Code: CodeBadArgs, Message: malformed.Error()}
	}
	if refusal != nil {
		defer p.mu.Unlock()
		in.release()
		if s.left && m.ID > s.accepted { // the goodbye has answered it
			return nil
		}
		return p.answerError(m.ID, refusal)
	}
	in.ctx = newCallContext(p.background, in.req.budget)
	s.accepted = max(s.accepted, m.ID)
	s.running.put(m.ID, in)
	if m.Flags&framing.WantStarted != 0 {
		p.control(typeStarted, 0, m.ID, nil)
		if p.corked {
			p.writeCorked()
		}
	}
	return p.start(in) // unlocks
}

// refuse says why a call is not taken, if so; locked.
func (p *Peer) refuse(m framing.Message) *RemoteError {
	switch s := &p.serving; {
	case s.leaving, p.end.err != nil:
		return &RemoteError{Code: CodeShuttingDown, Message: "this side is shutting down"}
	case p.handler == nil || !p.host && !s.ready:
		return &RemoteError{Code: CodeUnknownMethod, Message: "this side takes no calls"}
	case m.Dropped && m.Size > p.inLimit():
		return &RemoteError{Code: CodeTooLarge, Message: oversize(m.Size, p.inLimit())}
	case m.Dropped, s.running.count >= p.places:
		return &RemoteError{Code: CodeOverloaded, Message: fmt.Sprintf("more than %d calls at a time", p.places)}
	}
	return nil
}

// inLimit is the largest message that this side takes, in bytes.
func (p *Peer) inLimit() int {
	if p.host {
		return p.welcome.MaxMessage
	}
	return p.hello.MaxMessage
}

func oversize(n, limit int) string {
	return fmt.Sprintf("message of %d bytes is over the limit of %d; raise MaxMessage on the receiving side or send less", n, limit)
}

// answerError answers a call whose handler was not entered; locked. The reader cannot wait until there is room: a side that goes on calling
// without reading the answers breaks the connection.
func (p *Peer) answerError(id uint64, e *RemoteError) error {
	if len(p.out.queue) > 2*maxPending+p.outFrame {
		return violation("calls come in whose answers are not read")
	}
	b, err := appendValue(nil, e)
	if err == nil { // our own errors always encode
		p.control(typeError, framing.NotRun, id, b)
	}
	return nil
}

// start runs the handler, here or elsewhere; locked, but unlocked when it returns.
func (p *Peer) start(in *incoming) error {
	if p.runsInline() {
		return p.runInline(in)
	}
	p.enqueue(in)
	p.mu.Unlock()
	return nil
}

// enqueue gives the call to a handler goroutine, one that waits or a new one; locked. There is room: the calls running are counted.
func (p *Peer) enqueue(in *incoming) {
	s := &p.serving
	if p.end.read { // Close has come while "started" was being written: nobody is to hear the answer
		s.running.remove(in.id)
		in.release()
		p.sayGoodbye()
		return
	}
	if s.work == nil {
		s.work = make(chan *incoming, p.places)
	}
	s.work <- in
	if s.idle > 0 {
		s.idle--
		return
	}
	go p.handle(s.work) // ends when the stream has ended
}

// handle runs handlers, one after the other, those of the calls that came with the stream's end too.
func (p *Peer) handle(work <-chan *incoming) {
	for in := range work {
		p.run(in)
	}
}

// cancelled ends the context of a running handler, or drops a call that is not complete yet.
func (p *Peer) cancelled(m framing.Message) error {
	dropped := p.in.Drop(m.ID, typeCall)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch in := p.serving.running.get(m.ID); {
	case dropped:
		return p.answerError(m.ID, &RemoteError{Code: CodeCancelled, Message: "given up before it was complete"})
	case in != nil:
		in.ctx.end(context.Canceled)
	default:
		p.stats.Late++
	}
	return nil
}
