package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/stdcrew/stdcrew/framing"
)

// HostOptions are for the host's end of a connection. The zero value works.
type HostOptions struct {
	Welcome Welcome // what to answer; limits that are zero take their defaults, Protocol is set
	Handler Handler // answers calls of the worker; if nil, they are refused
	Group   *Group  // what it shares with others; if nil, nothing

	Goodbye  func(reason string)  // the worker takes no further calls; before those that it has not accepted fail; must not block
	Starting func(message string) // the worker is still loading; must not block
	Noise    func(text []byte)    // what was skipped before the hello, at most 1 KiB of it; must not block

	// Stuck, if not nil, is called when the worker has not answered a call within CancelGrace after its caller has left; InFlight says which.
	// It must not block. If CancelGrace is zero, it is 5 s; if negative, no time at all.
	Stuck       func()
	CancelGrace time.Duration
	// WriteStall is how long the worker may leave unread what is being written to it; then the connection fails with ErrWriteStall. FrameStall
	// is how long it may stop in the middle of a frame; then it fails with ErrFrameStall. If zero, they are 10 s. If negative, it may for ever.
	WriteStall, FrameStall time.Duration

	// Heartbeat is how long a worker that has calls in flight, and has announced CapBusy, may be silent before it is pinged. After two more such
	// times without a byte from it the connection fails with ErrHang. If zero, it is 15 s. If negative, silence says nothing.
	Heartbeat time.Duration

	// HoldLost leaves the calls in flight at the stream's end unanswered until Abort or Drain: the owner of the process knows better why.
	HoldLost bool
}

// Connect is the host's half of the handshake. It blocks until the worker is ready, says that it cannot start, or breaks the protocol, or
// until the stream or ctx ends. The error is an *InitError, a *ProtocolError, ctx's cause, or says how the stream ended. The stream is
// not closed then; where it is no Interrupter a goroutine goes on reading it until it is.
func Connect(ctx context.Context, s Stream, o HostOptions) (*Peer, error) {
	p := newPeer(s, true)
	p.handler, p.hold = o.Handler, o.HoldLost
	p.notify = callbacks{goodbye: o.Goodbye, starting: o.Starting, noise: o.Noise, stuck: o.Stuck}
	p.limits = o.patience()
	if o.Group != nil {
		p.group = o.Group
	}
	p.welcome = o.Welcome
	p.welcome.setDefaults()
	if err := checkLimits(p.welcome.MaxFrame, p.welcome.MaxMessage, p.welcome.Window); err != nil {
		return nil, err
	}
	p.in.SetLimits(p.welcome.MaxFrame, p.welcome.MaxMessage)
	p.mu.Lock()
	p.readInBackground()
	p.mu.Unlock()
	select {
	case <-p.greeted:
	case <-ctx.Done():
		p.giveUp(context.Cause(ctx))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.end.failure; err != nil {
		return nil, err
	}
	return p, nil
}

// giveUp ends a handshake that takes too long, unless it has been completed at the same moment.
func (p *Peer) giveUp(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == open {
		return
	}
	p.lose(cause)
	if p.takeRole() {
		p.readEnd(cause)
	}
}

// failHandshake says why there will be no connection; locked.
func (p *Peer) failHandshake(err error) {
	if p.end.failure != nil {
		return
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the other side closed its end before the handshake was over: %w", err)
	}
	p.end.failure = err
	close(p.greeted)
}

// greet deals with one message of the handshake; not locked.
func (p *Peer) greet(m framing.Message) error {
	switch {
	case p.phase == awaitReady && m.Type == typeReady:
		return p.becomeReady(m.Body)
	case p.phase == awaitReady && m.Type == typeStarting:
		var s startingMessage
		if err := decodeValue(m.Body, &s); err != nil {
			return violation("malformed starting: %v", err)
		}
		if p.notify.starting != nil {
			p.notify.starting(s.Message)
		}
		return nil
	case p.phase == awaitReady && m.Type == typeInitError:
		e := new(InitError)
		if err := decodeValue(m.Body, e); err != nil {
			return violation("malformed init_error: %v", err)
		}
		return e
	case p.phase == awaitReady && m.Type == typeGoodbye:
		var g goodbyeMessage
		if err := decodeValue(m.Body, &g); err != nil {
			return violation("malformed goodbye: %v", err)
		}
		return fmt.Errorf("said goodbye before it was ready: %q", clip(g.Reason))
	case p.phase == awaitWelcome && m.Type == typeWelcome:
		return p.welcomed(m.Body)
	case p.phase == awaitWelcome && m.Type == typeRefuse:
		e := new(RefusedError)
		if err := decodeValue(m.Body, e); err != nil {
			return violation("malformed refuse: %v", err)
		}
		return e
	case m.Flags&framing.Ignorable != 0:
		p.ignored()
		return nil
	}
	return violation("%s during the handshake", typeName(m.Type))
}

// becomeReady ends the handshake on the host's side.
func (p *Peer) becomeReady(body []byte) error {
	var m readyMessage
	if err := decodeValue(body, &m); err != nil {
		return violation("malformed ready: %v", err)
	}
	if err := checkMethods(m.Methods); err != nil {
		return violation("ready: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end.err != nil {
		return p.end.err // given up meanwhile
	}
	if p.out.broken {
		return errors.New("the worker is ready, but does not read its input")
	}
	if len(m.Methods) > 0 {
		p.hello.Methods = m.Methods
	}
	p.methods = newMethods(p.hello.Methods)
	p.phase = open
	if p.out.delegated {
		p.wakeSweep() // who still writes the welcome goes on with the first call, and nobody has watched so far
	}
	close(p.greeted)
	return nil
}

// accept answers the hello.
func (p *Peer) accept(h Hello) error {
	if err := h.check(); err != nil {
		return violation("hello: %v", err)
	}
	p.hello = h
	p.outFrame, p.outLimit = h.MaxFrame, h.MaxMessage
	p.capacity = agree(h.InFlight, p.welcome.InFlight)
	p.calls.pending = newTable[call](p.capacity)
	p.places = max(p.capacity, hostPlaces)
	p.mu.Lock()
	p.phase = awaitReady
	if !h.answersWhileBusy() {
		p.limits.beat = 0
	}
	p.mu.Unlock()
	if h.Protocol[0] > Version || h.Protocol[1] < Version {
		e := &RefusedError{Code: "version", Message: fmt.Sprintf("protocol %d to %d is not spoken here, %d is", h.Protocol[0], h.Protocol[1], Version)}
		return errors.Join(violation("%s", e.Message), p.controlValue(typeRefuse, e))
	}
	p.welcome.InFlight, p.welcome.Host = p.capacity, "stdcrew-go"
	if err := p.controlValue(typeWelcome, &p.welcome); err != nil {
		return err
	}
	p.mu.Lock()
	p.control(typeGrease, framing.Ignorable, 0, nil) // no worker forgets to skip what it does not know
	p.mu.Unlock()
	return nil
}

// WorkerOptions are for the worker's end of a connection.
type WorkerOptions struct {
	Hello   Hello   // what to announce; the zero value announces one call at a time
	Handler Handler // answers the host's calls
	// Shutdown is called when the host asks the worker to end, on a goroutine of its own. If nil, the Peer does what the host asks: see Goodbye.
	Shutdown func(now bool, grace time.Duration)
}

// Announce is the worker's half of the handshake: it says hello and blocks until the host has answered. When ctx ends the stream is closed.
// The caller loads what it has to and then calls Ready or InitError, and Serve.
func Announce(ctx context.Context, s Stream, o WorkerOptions) (*Peer, error) {
	p := newPeer(s, false)
	p.handler, p.notify.shutdown = o.Handler, o.Shutdown
	p.phase = awaitWelcome
	p.reading.role = serverReads
	h := o.Hello
	h.setDefaults()
	if h.PID == 0 {
		h.PID = os.Getpid()
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	p.hello = h
	p.own = newMethods(h.Methods)
	p.in.SetLimits(h.MaxFrame, h.MaxMessage)
	b, err := appendValue([]byte(greeting), &h)
	if err == nil && len(b) > maxHello {
		err = fmt.Errorf("%w: hello of %d bytes is over the limit of %d; announce fewer methods", ErrTooLarge, len(b), maxHello)
	}
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	p.mu.Lock()
	p.control(typeHello, 0, 0, b)
	p.mu.Unlock()
	for p.phase == awaitWelcome {
		err := p.fill()
		if err == nil {
			err = p.consume()
		}
		if err != nil {
			p.broken(err)
			return nil, p.announceError(ctx)
		}
	}
	return p, nil
}

func (p *Peer) announceError(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.end.failure, p.end.err) // the latter where it came right behind the welcome
}

// welcomed ends the handshake on the worker's side.
func (p *Peer) welcomed(body []byte) error {
	var w Welcome
	if err := decodeValue(body, &w); err != nil {
		return violation("malformed welcome: %v", err)
	}
	w.setDefaults()
	if err := checkLimits(w.MaxFrame, w.MaxMessage, w.Window); err != nil {
		return violation("welcome: %v", err)
	}
	if w.Protocol != Version {
		return violation("the host chose protocol %d", w.Protocol)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.welcome = w
	p.outFrame, p.outLimit = w.MaxFrame, w.MaxMessage
	p.capacity = agree(p.hello.InFlight, w.InFlight)
	p.places = p.capacity
	p.serving.running = newTable[incoming](p.places)
	p.inline = p.capacity == 1
	p.phase = open
	return nil
}

// Ready tells the host that calls can come; for the worker's end, before Serve. The methods are those of the hello.
func (p *Peer) Ready() error {
	p.mu.Lock()
	p.serving.ready = true
	p.mu.Unlock()
	return p.controlValue(typeReady, readyMessage{})
}

// Starting tells the host that the worker is still loading, so that it has patience.
func (p *Peer) Starting(message string) error {
	return p.controlValue(typeStarting, startingMessage{Message: clip(message)})
}

// InitError tells the host that the worker cannot start, before Ready. The worker should exit after it. What does not fit into a frame of the
// host's is cut off.
func (p *Peer) InitError(message, detail string) error {
	message = clip(message)
	room := p.outFrame - len(message) - 64 // for the keys
	return p.controlValue(typeInitError, &InitError{Message: message, Detail: detail[:min(len(detail), room)]})
}
