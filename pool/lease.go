package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stdcrew/stdcrew/rpc"
)

var (
	// ErrReleased: the lease has been released.
	ErrReleased = errors.New("the lease has been released")
	// ErrLeaseLost: the worker of the lease takes no further calls, or is gone.
	ErrLeaseLost = errors.New("the lease's worker is gone")
)

var errConnEnded = errors.New("its connection has ended")

// Lease is one place on one worker, kept from Acquire to Release: for calls that build on what earlier ones have left in the worker. Its
// methods may be called by any goroutines at once. There is no useful zero value.
//
// A lease never moves to another worker, since that would not know what the first one knew. When its worker says goodbye, dies, or is stopped,
// the lease is lost for good; a new one is a new start.
type Lease struct {
	worker *worker
	turn   chan struct{} // has a token while the place is kept and no call runs
	done   chan struct{} // closed when ended
	freed  func()        // callEnded, made once: it goes with every call

	// Guarded by the pool's mutex.
	since    time.Duration
	ended    bool // it takes no further calls
	released bool // and that was its holder's wish
}

// Acquire takes a place on a worker, as Call does, and keeps it until Release: in ctx, the queue, QueueTimeout, and how it fails, it is like
// a call that does not end. The error's Method is "Acquire". ctx governs the waiting alone, not the lease.
//
// Every lease must be released. One that is not keeps its place for as long as its worker lives, and that worker is never idle. Whoever holds
// all the places of a pool and then calls the pool itself waits for ever.
func (p *Pool) Acquire(ctx context.Context) (*Lease, error) {
	const method = "Acquire"
	if ctx.Err() != nil {
		return nil, p.notCalled(method, CallOptions{}, ClassContext, contextError(ctx))
	}
	w, err := p.take(ctx, false)
	if err != nil {
		return nil, p.notCalled(method, CallOptions{}, classOfWait(ctx, err), err)
	}
	return w.lease(), nil
}

// lease makes the lease for a place that has been taken.
func (w *worker) lease() *Lease {
	l := &Lease{worker: w, turn: make(chan struct{}, 1), done: make(chan struct{})}
	l.freed = l.callEnded
	l.turn <- struct{}{}
	p := w.pool
	var fx effects
	p.mu.Lock()
	l.since = p.now()
	w.leases = append(w.leases, l)
	if w.endLeases(); w.leaseLost { // it has been, since the place was taken, and its owner has counted that as a call
		w.poke()
	}
	if w.hold == holdEmptying {
		p.arrange(&fx) // it does not become empty now
	}
	p.mu.Unlock()
	fx.run()
	return l
}

// Call runs a call on the lease's worker, with what [Pool.Call] says of ctx, args, reply and CallTimeout. Calls on one lease run one after
// another: a second one waits, for as long as its ctx allows, until the worker has ended the first, also where the first one's caller left early.
//
// Every error is an *Error. After Release its cause is ErrReleased, of class caller. A call that the worker's end cuts short fails as any other
// does; those after it fail with ErrLeaseLost and the reason, of class interrupted and certainly not executed. They are safe to repeat, but in
// vain on this lease.
func (l *Lease) Call(ctx context.Context, method string, args, reply any, o CallOptions) error {
	p := l.worker.pool
	if ctx.Err() != nil {
		return p.notCalled(method, o, ClassContext, contextError(ctx))
	}
	select {
	case <-l.turn:
		return p.callOn(ctx, l.worker, l.freed, method, args, reply, o)
	case <-l.done:
		return l.refuse(method, o)
	case <-ctx.Done():
		return p.notCalled(method, o, ClassContext, contextError(ctx))
	}
}

// Release gives the place back: at once, or when the call that still runs on it has ended at the worker. Calls that wait for their turn fail
// with ErrReleased. Release does not block; further calls of it do nothing.
func (l *Lease) Release() {
	p := l.worker.pool
	p.mu.Lock()
	l.released = true
	idle := l.end()
	p.mu.Unlock()
	if idle {
		l.worker.freed()
	}
}

// Done is closed when the lease takes no further calls: it has been released, or its worker has said goodbye, died, or is being stopped. What
// the worker knew is lost then; Release is called all the same.
func (l *Lease) Done() <-chan struct{} { return l.done }

// PID is the id of the worker's process, as in logs, errors and the pool's Snapshot.
func (l *Lease) PID() int { return l.worker.pid }

// callEnded is called when the place at the worker is free again: for the next call, or for the pool if the lease has ended meanwhile.
func (l *Lease) callEnded() {
	p := l.worker.pool
	p.mu.Lock()
	if l.ended {
		l.forget()
		p.mu.Unlock()
		l.worker.freed()
		return
	}
	twice := false
	select {
	case l.turn <- struct{}{}:
	default:
		twice = true
	}
	p.mu.Unlock()
	if twice {
		p.internalError("the place of a lease was given back twice")
	}
}

// end has the lease take no further calls; locked. It tells whether the place is to be given back now: no call runs.
func (l *Lease) end() (idle bool) {
	if l.ended {
		return false
	}
	l.ended = true
	close(l.done)
	select {
	case <-l.turn:
		l.forget()
		return true
	default:
		return false // callEnded does it
	}
}

// forget takes the lease off its worker's list; locked.
func (l *Lease) forget() {
	leases := l.worker.leases
	for i := range leases {
		if leases[i] == l {
			last := len(leases) - 1
			leases[i], leases[last] = leases[last], nil
			l.worker.leases = leases[:last]
			return
		}
	}
}

// refuse makes the error of a call on a lease that has ended.
func (l *Lease) refuse(method string, o CallOptions) error {
	w, p := l.worker, l.worker.pool
	p.mu.Lock()
	released, closed, why := l.released, p.phase == phaseClosed, w.whyGone()
	p.mu.Unlock()
	switch {
	case released:
		return p.notCalled(method, o, ClassCaller, ErrReleased)
	case closed:
		return p.notCalled(method, o, ClassCaller, ErrClosed)
	}
	return p.failed(w, method, o, ClassInterrupted, rpc.NotSent, fmt.Errorf("%w: %w", ErrLeaseLost, why))
}

// endLeases ends the leases of a worker that takes no further calls; locked. The places of idle ones are free at once: nobody is to wait for
// holders that cannot use them any more. The worker's owner is told, or is the caller.
func (w *worker) endLeases() {
	if len(w.leases) == 0 || !w.goodbye && w.target < 0 && w.gone == nil && !w.isLost() {
		return
	}
	w.leaseLost = true
	for _, l := range append([]*Lease(nil), w.leases...) {
		if l.end() {
			w.inFlight--
		}
	}
}

// whyGone says why a worker takes no further calls; locked.
func (w *worker) whyGone() error {
	switch {
	case w.gone != nil:
		return w.gone
	case w.target >= 0:
		return fmt.Errorf("it is being stopped (%s)", w.why)
	case w.goodbye:
		return fmt.Errorf("%w (%s)", rpc.ErrGoodbye, w.lastWords)
	default:
		return errConnEnded
	}
}
