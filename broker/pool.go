package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/stdcrew/stdcrew/pool"
	"github.com/stdcrew/stdcrew/rpc"
)

// Pool is one of a broker's pools; see [Broker.Pool].
type Pool struct {
	name     string
	missing  error // why there is no such pool, or no such call
	crew     *pool.Pool
	budget   *budget
	retries  atomic.Uint64
	poisoned atomic.Uint64
}

// CallOption qualifies one call.
type CallOption func(*callOptions)

type callOptions struct {
	timeout    time.Duration
	idempotent bool
	metadata   map[string]string
}

// Timeout bounds the whole call: waiting for a worker, running and repeating. The error is context.DeadlineExceeded for errors.Is. Zero and
// less mean no bound.
func Timeout(d time.Duration) CallOption {
	return func(o *callOptions) { o.timeout = d }
}

// Idempotent says that the call may be executed more than once: the broker repeats it when a worker was lost in the middle of it. Where the worker
// crashed, it is repeated alone on a worker, and not after it has crashed three that it had alone: then it fails with [ErrPoison].
func Idempotent() CallOption {
	return func(o *callOptions) { o.idempotent = true }
}

// Metadata goes to the worker with the call.
func Metadata(m map[string]string) CallOption {
	return func(o *callOptions) { o.metadata = m }
}

// Call is [Broker.Call] without the pool's name in front of the method.
func (p *Pool) Call(ctx context.Context, method string, in, out any, opts ...CallOption) error {
	if p.missing != nil {
		return p.unknown(method)
	}
	if len(opts) == 0 { // the options of a plain call stay off the heap
		return p.try(ctx, method, in, out, &callOptions{})
	}
	return p.callWith(ctx, method, in, out, resolve(opts))
}

// callWith is Call with options, the timeout among them.
func (p *Pool) callWith(ctx context.Context, method string, in, out any, o *callOptions) error {
	ctx, cancel := o.limit(ctx)
	defer cancel()
	return p.try(ctx, method, in, out, o)
}

// unknown is the error of a call to a pool that there is not.
func (p *Pool) unknown(method string) error {
	return &Error{Pool: p.name, Method: method, Slot: -1, Class: ClassCaller, Delivery: rpc.NotSent, Attempts: 1, Err: p.missing}
}

func resolve(opts []CallOption) *callOptions {
	o := new(callOptions)
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// limit returns the context of a call with a timeout, if it has one.
func (o *callOptions) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, o.timeout)
}

// try makes the call, again where that is safe and allowed.
func (p *Pool) try(ctx context.Context, method string, in, out any, o *callOptions) error {
	var past history
	for attempt := 1; ; attempt++ {
		err := p.crew.Call(ctx, method, in, out, pool.CallOptions{Attempt: attempt, Alone: past.suspect, Metadata: o.metadata})
		if err == nil {
			p.budget.succeeded()
			return nil
		}
		if past.add(err) {
			p.poisoned.Add(1)
			return err
		}
		if ctx.Err() != nil || !p.mayRetry(err, attempt, o.idempotent) {
			return err
		}
		p.retries.Add(1)
	}
}

// Stop fails the calls that wait, gives those that run StopGrace, and stops the workers. The next call after it starts new ones. When ctx
// ends Stop returns and the stopping goes on.
func (p *Pool) Stop(ctx context.Context) error {
	if p.missing != nil {
		return p.missing
	}
	return p.crew.Stop(ctx)
}

// Reload replaces the pool's workers by ones that run this command, or by fresh ones of the same if it is the zero [Command], without failing a
// call. One worker is tried first: if it does not become ready, or ctx ends before, Reload returns the reason and everything stays as it was.
// Then the others are replaced one by one, each when its successor is ready. Reload returns when the last worker of before is gone; when ctx ends
// it returns its error, and the rest goes on.
func (p *Pool) Reload(ctx context.Context, c Command) error {
	if p.missing != nil {
		return p.missing
	}
	return p.crew.Reload(ctx, c)
}

// Resize sets the pool's Min and Max, zero being the default as in PoolOptions. Workers that are missing start in the background; those that are too
// many end when their calls have, those first that have been idle for longest. Resize returns when no more than Max are left, or when ctx ends:
// then the rest goes on.
func (p *Pool) Resize(ctx context.Context, minimum, maximum int) error {
	if p.missing != nil {
		return p.missing
	}
	return p.crew.Resize(ctx, minimum, maximum)
}

// Ready blocks until the pool has its Min workers ready, ctx ends, or it cannot start any.
func (p *Pool) Ready(ctx context.Context) error {
	if p.missing != nil {
		return p.missing
	}
	return p.crew.Ready(ctx)
}

// Snapshot returns what the pool looks like now; the zero value for a pool that the broker does not have.
func (p *Pool) Snapshot() PoolSnapshot {
	if p.missing != nil {
		return PoolSnapshot{}
	}
	return PoolSnapshot{Snapshot: p.crew.Snapshot(), Retries: p.retries.Load(), Poisoned: p.poisoned.Load()}
}
