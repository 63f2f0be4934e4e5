package broker

import (
	"context"

	"github.com/stdcrew/stdcrew/pool"
)

var (
	ErrReleased  = pool.ErrReleased  // the lease has been released
	ErrLeaseLost = pool.ErrLeaseLost // the worker of the lease takes no further calls, or is gone
)

// Lease is one place on one worker of a pool, kept for several calls; see [Pool.Acquire]. All methods may be called by any goroutines at once.
type Lease struct{ lease *pool.Lease }

// Acquire takes a place on a worker and keeps it until Release, for calls that build on each other. It blocks until a worker has one free, as a
// call does, or ctx ends; ctx says nothing about the time after that. Every lease must be released, or its worker has one place less for good.
//
// A goroutine that holds a lease and waits for another, or calls the same pool, may wait for itself: Max workers have no more than their places.
func (p *Pool) Acquire(ctx context.Context) (*Lease, error) {
	if p.missing != nil {
		return nil, p.unknown("Acquire")
	}
	l, err := p.crew.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &Lease{l}, nil
}

// Call is [Pool.Call] on the lease's worker. Calls on one lease run one after another: one that comes while another is at the worker waits, also
// where that one's caller has left and the worker goes on. [Timeout] counts this waiting.
//
// The call is made once. [Idempotent] changes nothing here, since another worker would lack what earlier calls have left in this one: to repeat is
// to begin again with a new lease. When the worker is gone Call fails with [ErrLeaseLost], after Release with [ErrReleased].
func (l *Lease) Call(ctx context.Context, method string, in, out any, opts ...CallOption) error {
	o := resolve(opts)
	ctx, cancel := o.limit(ctx)
	defer cancel()
	return l.lease.Call(ctx, method, in, out, pool.CallOptions{Metadata: o.metadata})
}

// Release gives the place back: at once, or when the call that still runs on it has ended at the worker. It does not block, and may be called
// any number of times. Calls that wait for their turn fail with [ErrReleased].
func (l *Lease) Release() { l.lease.Release() }

// Done is closed when the lease takes no further calls: it has been released, or its worker is gone or on its way.
func (l *Lease) Done() <-chan struct{} { return l.lease.Done() }

// PID is the id of the worker's process, as in logs, errors and [Broker.Snapshot].
func (l *Lease) PID() int { return l.lease.PID() }
