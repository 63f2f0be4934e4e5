package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// Pool is a crew of workers that run the same program. All methods may be called by any goroutines at once.
//
// What is below mu is plain data, changed in critical sections of a few lines. Nothing is waited for, logged or called under it; what a
// change asks for beside data is done after unlocking, as effects. A process belongs to a goroutine of its own: worker.run.
type Pool struct {
	opts   Options // resolved
	native *native // opts.Dialect, if it is ours
	log    *slog.Logger
	ladder []process.Rung
	epoch  time.Time // where now starts counting

	mu       sync.Mutex
	phase    phase
	min, max int             // Options.Min and Max, as Resize has left them
	command  process.Command // that new workers run: Options.Command, or what Reload has made of it
	version  uint64          // counts the reloads that have worked
	reload   *reload         // whose trial is under way; nil: none
	owed     int             // workers that went before their successors came
	slots    []*slot         // as many as there may be processes, or as there might have been before Resize
	census   census
	ready    readySet
	queue    queue
	restarts restarts
	retry    *time.Timer   // fires when restarts allows starting again
	idle     *time.Timer   // fires when a worker may have been idle for long enough
	idleSet  bool          // idle is running
	places   int           // that a worker is expected to have: what the last one had
	loop     loop          // as it was last told
	delayed  bool          // a delay has begun
	wanted   bool          // a caller that may not wait found no worker
	asleep   bool          // stopped by Stop: Min is not kept until somebody wants a worker
	owners   []*worker     // whose goroutines have not ended
	forced   []error       // what had to be forced since the pool was closed
	changed  chan struct{} // closed at the next change that somebody may wait for; nil: nobody does
	counters Counters
	ends     map[process.Killer]uint64 // processes that have ended, by what is in their reports

	seq         uint64 // of the last event
	subscribers []subscriber
	silent      bool // the last event has been told

	tallies tallies // atomic
}

// phase says which calls the pool takes.
type phase uint8

const (
	phaseOpen     phase = iota // all
	phaseStopping              // none, until Stop is done
	phaseDraining              // those that had been taken before Shutdown, and their retries
	phaseClosed                // none
)

func (p phase) String() string {
	return [...]string{"open", "stopping", "draining", "closed"}[p]
}

// New makes a pool. It reports everything that is wrong with the options at once, and waits for nothing: Min workers start in the
// background. The pool is to be ended by Shutdown or Close.
func New(o Options) (*Pool, error) {
	o, err := o.resolve()
	if err != nil {
		return nil, err
	}
	p := &Pool{
		opts:    o,
		log:     o.Log.With(slog.String("pool", o.Name)),
		ladder:  ladder(o),
		epoch:   time.Now(),
		min:     o.Min,
		max:     o.Max,
		command: o.Command,
		queue:   queue{bound: o.Queue},
		places:  max(1, o.InFlight),
		ends:    map[process.Killer]uint64{},
		restarts: restarts{
			backoff: process.Backoff{Min: o.Restart.Min, Max: o.Restart.Max, Jitter: jitter, Random: o.random},
		},
	}
	p.native, _ = o.Dialect.(*native)
	p.fitSlots()
	p.retry = stoppedTimer(p.replan)
	p.idle = stoppedTimer(p.reapIdle)
	p.census = p.count()
	p.replan()
	return p, nil
}

// ladder returns the rungs for resolved options, in which a grace of zero does not wait.
func ladder(o Options) []process.Rung {
	rungs := process.Ladder(0, 0, 0)
	for i, grace := range []time.Duration{o.StopGrace, o.CloseGrace, o.KillGrace} {
		rungs[i].Grace = grace
	}
	return rungs
}

func stoppedTimer(f func()) *time.Timer {
	t := time.AfterFunc(time.Hour, f)
	t.Stop()
	return t
}

// now is the time on the pool's own clock.
func (p *Pool) now() time.Duration { return time.Since(p.epoch) }

// CallOptions is what can be said about one call.
type CallOptions struct {
	// Attempt is 1 for the first attempt, which zero stands for, and higher when a call is repeated. Repeated calls wait before all others,
	// and are still taken while Shutdown drains the pool.
	Attempt int
	// Alone gives the call a worker by itself: nothing else runs there meanwhile. It is for repeating calls that may have crashed a worker, waits
	// before all others like any repeated call, and means nothing on a lease, which has its worker already.
	Alone bool
	// Metadata reaches the worker with the call.
	Metadata map[string]string
}

// Call runs a call on a worker: it takes a ready one, or waits for one, starting it if there is room. args and reply are whatever the
// dialect encodes; reply is a pointer, or nil to discard the answer. Neither is touched once Call has returned.
//
// When ctx ends, Call returns at once: a call that waits is withdrawn, one that has been sent is canceled and keeps its place on the
// worker until that has answered. Every error is an *Error.
func (p *Pool) Call(ctx context.Context, method string, args, reply any, o CallOptions) error {
	if ctx.Err() != nil {
		return p.notCalled(method, o, ClassContext, contextError(ctx))
	}
	var w *worker
	var waiting *waiter
	var err error
	if o.Alone {
		w, waiting, err = p.enterAlone()
	} else {
		w, waiting, err = p.enter(o.Attempt > 1)
	}
	switch {
	case err != nil:
		return p.notCalled(method, o, classOfWait(ctx, err), err)
	case waiting != nil:
		return p.callQueued(ctx, waiting, method, args, reply, o)
	}
	return p.callOn(ctx, w, w.release, method, args, reply, o)
}

// callOn runs a call on a worker that has been taken for it. The connection calls freed when the place is free again.
func (p *Pool) callOn(ctx context.Context, w *worker, freed func(), method string, args, reply any, o CallOptions) error {
	callCtx := ctx // its deadline is the worker's, too
	if p.opts.CallTimeout > 0 {
		var cancel context.CancelFunc
		callCtx, cancel = context.WithTimeoutCause(ctx, p.opts.CallTimeout, ErrCallTimeout)
		defer cancel()
	}
	err := w.conn.Call(callCtx, method, args, reply, rpc.CallOptions{Attempt: max(1, o.Attempt), Metadata: o.Metadata, Freed: freed})
	return p.called(ctx, callCtx, w, method, o, err)
}

// called takes note of what came of a call that a worker got, and makes its error. callCtx is the context that bounded it.
func (p *Pool) called(ctx, callCtx context.Context, w *worker, method string, o CallOptions, err error) error {
	switch {
	case isLeaving(err): // that is no answer, and no sign of health
		w.saidLeaving()
	case answered(err):
		p.countAnswer(w, err)
	}
	if err == nil {
		return nil
	}
	class, delivery, cause := classify(ctx, callCtx, err)
	if errors.Is(cause, ErrCallTimeout) {
		cause = &tailedError{err: fmt.Errorf("%w (%v)", cause, p.opts.CallTimeout), tail: w.proc.StderrTail()}
	}
	return p.failed(w, method, o, class, delivery, cause)
}

// failed makes the error of a call that a worker got, or was to get.
func (p *Pool) failed(w *worker, method string, o CallOptions, class Class, delivery rpc.Delivery, cause error) error {
	p.tallies.failed(class, delivery)
	return &Error{
		Pool: p.opts.Name, Method: method, Slot: w.slot.index, PID: w.pid,
		Class: class, Delivery: delivery, Attempts: max(1, o.Attempt), Crash: w.crashOf(class, delivery, cause), Err: cause,
	}
}

// notCalled makes the error of a call that no worker got.
func (p *Pool) notCalled(method string, o CallOptions, class Class, cause error) error {
	p.tallies.failed(class, rpc.NotSent)
	return &Error{
		Pool: p.opts.Name, Method: method, Slot: -1,
		Class: class, Delivery: rpc.NotSent, Attempts: max(1, o.Attempt), Err: cause,
	}
}
