package rpc

import (
	"context"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/framing"
)

// Peer is one end of a connection. [Connect] makes the host's end, [Announce] the worker's. All methods may be called from any
// goroutine at any time.
//
// One mutex guards all that changes. No I/O, no decoding and no callback happens under it; where a method's comment says "locked" it is
// called, and returns, with the mutex held.
type Peer struct {
	stream Stream
	try    TryWriter   // nil: a goroutine writes
	both   BothWriter  // nil: two halves are written one after the other
	intr   Interrupter // nil: a goroutine reads
	soon   SoonReader  // nil: callers read as everybody does
	count  Unreader    // nil: nobody knows what has been read
	host   bool
	hold   bool // calls in flight at the stream's end wait for Abort or Drain
	notify callbacks
	limits patience
	group  *Group
	epoch  time.Time

	handler    Handler
	background context.Context // what handlers' contexts take their values from

	// Settled by the handshake, constant after it.
	hello    Hello
	welcome  Welcome
	inline   bool // a worker's that takes one call at a time: always on the goroutine that reads
	capacity int
	places   int     // calls of the other side that run here at a time
	methods  methods // the other side's
	own      methods // this side's, where it is a worker
	outFrame int     // what the other side takes, in bytes
	outLimit int

	in       *framing.Reader // belongs to the reader
	noise    noise           // likewise
	corked   bool            // likewise: it writes what is sent meanwhile when it has dealt with what it has read
	received uint64          // likewise; bytes

	mu      sync.Mutex
	phase   phase
	out     outbox
	calls   calls
	reading reading
	serving serving
	end     ending
	stats   Stats
	swept   bool          // the sweeper looks at this connection
	ticks   uint64        // counts its looks
	sweptAt time.Duration // when it did last: the time, without asking for it at every call
	stalls  stalls
	heart   heartbeat

	greeted chan struct{} // closed when the handshake is over or has failed
	done    chan struct{} // closed by lose
	ended   chan struct{} // closed when nothing more will be read
	tasks   sync.WaitGroup
}

// callbacks are the owner's; each may be nil.
type callbacks struct {
	goodbye  func(reason string)
	starting func(message string)
	noise    func(text []byte)
	shutdown func(now bool, grace time.Duration)
	stuck    func()
}

// phase says how far the handshake is.
type phase uint8

const (
	awaitHello   phase = iota // host: nothing has been written yet
	awaitReady                // host: the welcome is sent
	awaitWelcome              // worker: the hello is sent
	open                      // calls may go both ways
)

// ending is how and why the connection ends; three steps, each taken once, in this order.
type ending struct {
	err     error // lost: no new calls; done is closed
	read    bool  // nothing more will be read; ended is closed
	aborted bool  // calls in flight have been failed
	closed  bool  // Close has been called: no goroutine is started any more
	failure error // why the handshake failed
	goodbye bool  // the other side takes no further calls
}

// Stats counts what the other side did that cost nobody anything.
type Stats struct {
	Late    uint64 // answers that nobody waits for: to calls that have ended, or never were, and results that come after a cancel
	Ignored uint64 // frames of unknown type that may be ignored, and messages that this side did not ask for
}

func newPeer(s Stream, host bool) *Peer {
	p := &Peer{
		stream: s, host: host, background: context.Background(), epoch: time.Now(),
		greeted: make(chan struct{}), done: make(chan struct{}), ended: make(chan struct{}),
	}
	p.try, _ = s.(TryWriter)
	p.both, _ = s.(BothWriter)
	p.intr, _ = s.(Interrupter)
	p.soon, _ = s.(SoonReader)
	p.count, _ = s.(Unreader)
	p.in = framing.NewReader(framing.DefaultFrame, framing.DefaultMessage, p.wants)
	p.calls.pending = newTable[call](1)
	p.calls.nextID = 1
	if host {
		p.calls.nextID = 2
	}
	p.serving.running = newTable[incoming](1)
	p.serving.said = make(chan struct{})
	p.group = new(Group)
	return p
}

// Hello returns what the worker announced.
func (p *Peer) Hello() Hello {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hello
}

// Welcome returns what the host answered.
func (p *Peer) Welcome() Welcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.welcome
}

// Capacity is the number of calls that the worker takes at a time, as agreed in the handshake.
func (p *Peer) Capacity() int { return p.capacity }

// Stats returns the counters so far.
func (p *Peer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Done is closed when the stream has ended or is of no further use: no new call is taken. Err says why.
func (p *Peer) Done() <-chan struct{} { return p.done }

// Err is nil before Done. After it: io.EOF if the other side closed its end, a *ProtocolError if it broke the protocol,
// ErrClosed after Close, the cause given to Abort or Drain, or a read or write error.
func (p *Peer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end.err
}

// Abort fails the calls in flight with cause at once and refuses new ones. The stream stays open, so that the other side can be told to
// shut down. Only the first cause counts.
func (p *Peer) Abort(cause error) {
	p.mu.Lock()
	p.lose(cause)
	freed := p.abort(cause)
	p.mu.Unlock()
	free(freed...)
}

// Close closes the stream, fails what is left with ErrClosed and waits for the Peer's own goroutines. It does not wait for handlers, whose
// contexts it ends. Further calls of Close do nothing but wait.
func (p *Peer) Close() (err error) {
	p.Abort(ErrClosed)
	p.mu.Lock()
	first := !p.end.closed
	p.end.closed = true
	p.out.abandon()
	p.handOver() // a handler is not waited for
	p.mu.Unlock()
	if first {
		err = p.stream.Close()
	}
	p.tasks.Wait()
	p.mu.Lock()
	p.readEnd(ErrClosed) // where nobody was reading
	p.mu.Unlock()
	p.group.sweeper.remove(p)
	return err
}

// lose marks the connection as of no further use; locked.
func (p *Peer) lose(err error) {
	if p.end.err != nil {
		return
	}
	p.end.err = err
	close(p.done)
	if p.heart.timer != nil {
		p.heart.timer.Stop()
	}
	if p.phase != open {
		p.failHandshake(err)
	}
}

// readEnd says that nothing more will be read; locked. The reading role is given up for good.
func (p *Peer) readEnd(err error) {
	if p.end.read {
		return
	}
	p.end.read = true
	p.reading.role, p.reading.holder = nobody, nil
	p.makeWary(0) // it is not swept any more
	p.lose(err)
	close(p.ended)
	if p.serving.work != nil {
		close(p.serving.work) // who reads no more gives no more work
	}
	for in := range p.serving.running.all() {
		in.ctx.end(context.Canceled)
	}
}

// broken ends reading because of err and, unless the owner does that, fails the calls in flight; not locked.
func (p *Peer) broken(err error) {
	p.mu.Lock()
	p.readEnd(err)
	var freed []func()
	if !p.hold {
		freed = p.abort(p.end.err)
	}
	p.mu.Unlock()
	free(freed...)
}

// abort fails the calls in flight; locked. It returns what is to be called because places are free whose callers had left.
func (p *Peer) abort(cause error) (freed []func()) {
	if p.end.aborted {
		return nil
	}
	p.end.aborted = true
	p.out.announceSpace()
	for c := range p.calls.pending.all() {
		c.err = &CallError{Delivery: p.revoke(c), Err: cause}
		freed = append(freed, p.finish(c))
	}
	switch {
	case p.end.read || p.intr == nil:
	case p.reading.role == callerReads:
		p.kick() // its call is over
	case p.reading.role == nobody && p.host:
		p.readInBackground() // no caller will, and the goodbye is still to come
	}
	return freed
}

// free says of places that they are free; not locked. Nil stands for one whose caller does so itself.
func free(freed ...func()) {
	for _, f := range freed {
		if f != nil {
			f()
		}
	}
}

// now is the time on the Peer's own clock.
func (p *Peer) now() time.Duration { return time.Since(p.epoch) }
