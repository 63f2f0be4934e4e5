package pool

import (
	"context"
	"fmt"
	"time"

	"github.com/stdcrew/stdcrew/rpc"
)

// A caller that finds no free place has time. Its call is encoded while it stands in the queue, and whoever frees a place for it puts the call on its way
// at once: the worker does not wait until the caller has woken up, the reader that finds many answers sends as many calls by one write, and each
// caller is woken once, by its answer.
//
// Calls of other dialects, those that CallTimeout bounds, those that are to have a worker alone, and those that are too large to be sent at once are
// sent by their callers, who are woken for it.

// maxPrepared bounds the memory of calls that have been encoded and wait, in bytes. Callers that come while there is more are encoded when they have a place.
const maxPrepared = 4 << 20

// callQueued makes the call of a caller in the queue.
func (p *Pool) callQueued(ctx context.Context, waiting *waiter, method string, args, reply any, o CallOptions) error {
	c, ok := p.prepare(ctx, waiting, method, args, o)
	if !ok {
		w, err := p.wait(ctx, waiting)
		if err != nil {
			return p.notCalled(method, o, classOfWait(ctx, err), err)
		}
		return p.callOn(ctx, w, w.release, method, args, reply, o)
	}
	left := p.sleep(ctx, waiting, c.Ready())
	switch {
	case left == nil:
	case p.leave(waiting):
		waiting.err = p.explain(left)
	case waiting.worker != nil:
		waiting.worker.peer.Rouse(c) // too late to leave: the call has its worker
	default:
		<-c.Ready() // comes at once: the decision has been made
	}
	w, err := waiting.worker, waiting.err
	p.queue.recycle(waiting)
	if err != nil {
		p.native.Discard(c)
		return p.notCalled(method, o, classOfWait(ctx, err), err)
	}
	return p.called(ctx, ctx, w, method, o, w.peer.Wait(ctx, c, reply, w.release))
}

// prepare encodes the call of a caller in the queue, if it may be started by somebody else and the caller is still waiting. What cannot be encoded is
// said when there is a worker for it.
func (p *Pool) prepare(ctx context.Context, waiting *waiter, method string, args any, o CallOptions) (c rpc.Prepared, ok bool) {
	if p.native == nil || p.opts.CallTimeout > 0 || !waiting.roomy {
		return c, false
	}
	c, err := p.native.Prepare(ctx, method, args, rpc.CallOptions{Attempt: max(1, o.Attempt), Metadata: o.Metadata})
	if err != nil {
		return c, false
	}
	p.mu.Lock()
	ok = p.queue.prepare(waiting, c)
	p.mu.Unlock()
	if !ok {
		p.native.Discard(c)
	}
	return c, ok
}

// wait waits for what becomes of a caller in the queue that sends its call itself.
func (p *Pool) wait(ctx context.Context, w *waiter) (*worker, error) {
	left := p.sleep(ctx, w, w.decided)
	if left != nil && !p.leave(w) {
		<-w.decided // comes at once: the decision has been made
		if w.worker != nil {
			w.worker.freed() // a place that the caller no longer wants goes to the next
		}
		w.worker, w.err = nil, nil
	}
	got, err := w.worker, w.err
	p.queue.recycle(w)
	if left != nil {
		err = p.explain(left)
	}
	return got, err
}

// sleep waits until the caller is told, or says why it wakes up without. Thousands may wait here, whose stacks have left the processor's caches when
// they are told: the smaller the functions that they wait in, the sooner all are served.
func (p *Pool) sleep(ctx context.Context, w *waiter, told <-chan struct{}) (left error) {
	if p.opts.QueueTimeout > 0 {
		return p.sleepFor(ctx, w, told)
	}
	select {
	case <-told:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}

// sleepFor is sleep with a QueueTimeout.
func (p *Pool) sleepFor(ctx context.Context, w *waiter, told <-chan struct{}) (left error) {
	timeout := w.startTimer(p.opts.QueueTimeout)
	defer w.timer.Stop()
	select {
	case <-told:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	case <-timeout:
		return fmt.Errorf("%w (%v)", ErrQueueTimeout, p.opts.QueueTimeout)
	}
}

func (w *waiter) startTimer(d time.Duration) <-chan time.Time {
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	return w.timer.C
}

func (p *Pool) leave(w *waiter) bool {
	var fx effects
	p.mu.Lock()
	alone := w.line == &p.queue.alone
	left := p.queue.leave(w)
	if left && p.phase == phaseDraining {
		p.notify()
	}
	if alone {
		p.arrange(&fx) // what was held back for it is free
	}
	p.mu.Unlock()
	fx.run()
	return left
}

// verdict is what is to be done, after unlocking, for a caller that has been taken out of the queue. The waiter may be another caller's by then.
type verdict struct {
	decided  chan<- struct{} // who sends its own call is told here
	prepared bool
	call     rpc.Prepared
	worker   *worker // that has a place for call; nil: none has
}

// verdict is asked for under the mutex, when it is known what becomes of the caller.
func (w *waiter) verdict() verdict {
	return verdict{decided: w.decided, prepared: w.size > 0, call: w.call, worker: w.worker}
}

func (v verdict) execute() {
	switch {
	case !v.prepared:
		v.decided <- struct{}{}
	case v.worker == nil || !v.worker.peer.Start(v.call, v.worker.release):
		v.call.Tell()
	}
}
