package pool

import (
	"context"
	"errors"
	"time"
)

// take returns a worker with one of its places taken for the caller, waiting for it if need be.
func (p *Pool) take(ctx context.Context, retried bool) (*worker, error) {
	w, waiting, err := p.enter(retried)
	if waiting == nil {
		return w, err
	}
	return p.wait(ctx, waiting)
}

// enter returns a worker with one of its places taken for the caller, or the caller's place in the queue. This and freed are the hot path: one short
// critical section, no allocation, no other goroutine.
//
// A caller never overtakes those that wait: as long as somebody waits, no place is free. Who frees a place gives it to the first of them.
func (p *Pool) enter(retried bool) (*worker, *waiter, error) {
	p.mu.Lock()
	if w := p.free(); w != nil && p.phase == phaseOpen {
		p.occupy(w)
		p.mu.Unlock()
		return w, nil, nil
	}
	w, waiting, err := p.join(retried)
	starts := p.mayStart()
	p.mu.Unlock()

	if starts {
		p.replan() // for this caller, or for one after it
	}
	return w, waiting, err
}

// free is the worker that a call should go to; nil if none has a place. A worker whose connection has ended is out of the crew from here on,
// even if its own goroutine has not noticed yet: a call that is repeated at once would get it again and again.
func (p *Pool) free() *worker {
	w := p.ready.best()
	for w != nil && w.isLost() {
		p.withdraw(w)
		w = p.ready.best()
	}
	return w
}

// isLost says that the connection takes no further calls.
func (w *worker) isLost() bool {
	select {
	case <-w.conn.Done():
		return true
	default:
		return false
	}
}

func (p *Pool) occupy(w *worker) {
	w.inFlight++
	p.ready.put(w)
}

// join gives a caller a place on a worker, or one in the queue, or the reason why it gets neither.
func (p *Pool) join(retried bool) (*worker, *waiter, error) {
	p.asleep = false
	if err := p.refusal(retried); err != nil {
		return nil, nil, err
	}
	if w := p.free(); w != nil {
		p.occupy(w)
		return w, nil, nil
	}
	waiting := p.queue.join(retried)
	if waiting == nil {
		p.wanted = true
		return nil, nil, p.queueFull()
	}
	waiting.since = p.now()
	return nil, waiting, nil
}

// refusal says why a call is not taken at all; nil if it is.
func (p *Pool) refusal(retried bool) error {
	switch {
	case p.phase == phaseStopping:
		return ErrStopping
	case p.phase == phaseClosed, p.phase == phaseDraining && !retried:
		return ErrClosed
	}
	if p.census.live() || p.restarts.failures == 0 {
		return nil // in the ordinary case nobody looks at a clock
	}
	return p.hopeless(p.now())
}

// hopeless returns the last boot error if callers should not wait for the next attempt.
func (p *Pool) hopeless(now time.Duration) error {
	if p.census.live() || !p.restarts.hopeless(now) {
		return nil
	}
	return &retryError{err: p.restarts.last, in: p.restarts.waits(now)}
}

// classOfWait says whose matter it is that a caller got no worker.
func classOfWait(ctx context.Context, err error) Class {
	switch {
	case errors.Is(err, ErrClosed):
		return ClassCaller
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return ClassContext
	default:
		return ClassUnavailable
	}
}

// freed gives back one of the worker's places: to the caller that waits first, or to the ready set. The connection calls it, once for each
// call, on whatever goroutine noticed that the place is free. After the worker's death or retirement it only keeps count.
func (w *worker) freed() {
	p := w.pool
	p.mu.Lock()
	if w.open && w.isLost() {
		p.withdraw(w)
	}
	if !w.open {
		p.freedClosed(w)
		p.mu.Unlock()
		return
	}
	if w.inFlight == 0 {
		p.mu.Unlock()
		p.internalError("a place was given back twice")
		return
	}
	w.inFlight--
	if w.hold != holdNone || p.queue.alone.first != nil {
		var fx effects
		p.freedHeld(w, &fx)
		p.mu.Unlock()
		fx.run()
		return
	}
	if next := p.next(w); next != nil {
		v := next.verdict()
		p.mu.Unlock()
		v.execute()
		return
	}
	p.ready.put(w)
	if w.inFlight == 0 {
		p.becameIdle(w)
	}
	p.mu.Unlock()
}

// next grants a place on the worker to the caller that waits first, which is then to be told; nil if nobody waits, or no place is free.
func (p *Pool) next(w *worker) *waiter {
	if w.inFlight >= w.places || w.hold != holdNone {
		return nil
	}
	waiting := p.queue.pop()
	if waiting != nil {
		waiting.worker = w
		w.inFlight++
	}
	return waiting
}

// freedClosed keeps count for a worker that gets no further calls. When the last is done, its owner goes on.
func (p *Pool) freedClosed(w *worker) {
	if w.inFlight == 0 {
		return
	}
	w.inFlight--
	if w.inFlight == 0 || w.stuck {
		w.poke()
	}
}

// becameIdle notes since when a worker has been without a call.
func (p *Pool) becameIdle(w *worker) {
	w.idleSince = p.now()
	p.watchIdle()
	if p.phase == phaseDraining {
		p.notify()
	}
}
