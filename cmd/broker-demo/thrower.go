package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/broker"
)

// thrower throws faults at a stage. It does so in the order of their sequence, and waits for no fault to be over before the next, unless there are
// too many at a time.
type thrower struct {
	stage   *stage
	workers int // that the crew may have
	counts  faultCounts
	calls   callLog     // all but the load
	victims *killer     // which knows whom it has struck
	fail    func(error) // a fault was not survived
}

// run throws faults until time is over or drain has ended, and returns when all of them are. They are cut short when force ends.
func (t *thrower) run(drain, force context.Context, sequence *faults, end time.Time) {
	free := make(chan *lane, len(t.stage.lanes))
	for _, l := range t.stage.lanes {
		free <- l
	}
	places := make(chan struct{}, crewPlaces)
	var under sync.WaitGroup
	defer under.Wait()
	for {
		f := sequence.next()
		if pause(drain, min(f.wait, time.Until(end))) != nil || !time.Now().Before(end) {
			return
		}
		var throw func() error
		if f.againstCrew() {
			select {
			case places <- struct{}{}:
			case <-drain.Done():
				return
			}
			throw = func() error { defer func() { <-places }(); return t.throw(force, f) }
		} else {
			select {
			case l := <-free:
				throw = func() error { defer func() { free <- l }(); return l.throw(force, f, &t.calls) }
			case <-drain.Done():
				return
			}
		}
		under.Go(func() { t.survive(f, throw) }) // ends with the fault, all of whose steps are bounded
	}
}

// survive throws a fault and counts it.
func (t *thrower) survive(f fault, throw func() error) {
	t.counts.throw(f.kind)
	if err := throw(); err != nil {
		t.fail(fmt.Errorf("%s was not survived: %w", f.kind, err))
		return
	}
	t.counts.survive(f.kind)
}

// throw throws a fault at the crew and returns nil when a call has been answered after it.
func (t *thrower) throw(ctx context.Context, f fault) error {
	pool := t.stage.crew.pool
	var err error
	switch f.kind {
	case faultStop:
		err = pool.Stop(ctx)
	case faultFreeze:
		err = t.freeze(ctx, f, f.hold)
	case faultHang:
		err = t.freeze(ctx, f, hangHold)
	case faultReload, faultBadReload, faultResize:
		err = t.reshape(ctx, f)
	default:
		err = t.strike(ctx, f)
	}
	return errors.Join(err, prove(ctx, &t.calls, t.stage.echo))
}

// strike sends a signal to a worker that has not been struck yet.
func (t *thrower) strike(ctx context.Context, f fault) error {
	ready := t.stage.crew.ready
	return eventually(ctx, func(context.Context) (bool, error) {
		pid, ok := t.victims.choose(ready())
		if !ok {
			return false, nil
		}
		return signalListed(pid, faultSignals[f.kind], ready, nothing)
	})
}

// freeze stops a worker, whatever else happens to it meanwhile, and has it go on after a while.
func (t *thrower) freeze(ctx context.Context, f fault, hold time.Duration) error {
	ready := t.stage.crew.ready
	return eventually(ctx, func(ctx context.Context) (bool, error) {
		pids := ready()
		if len(pids) == 0 {
			return false, nil
		}
		return signalListed(pids[f.pick%len(pids)], faultSignals[f.kind], ready, func(worker *os.Process) {
			_ = pause(ctx, hold)
			_ = worker.Signal(thaw) // it may have been killed
		})
	})
}

// reshape reloads or resizes the crew, again if it is being stopped just then. A reload to what cannot start has to say so, and change nothing.
func (t *thrower) reshape(ctx context.Context, f fault) error {
	pool := t.stage.crew.pool
	return eventually(ctx, func(ctx context.Context) (bool, error) {
		var err error
		switch f.kind {
		case faultResize:
			least, most := f.size(t.workers)
			err = pool.Resize(ctx, least, most)
		case faultReload:
			err = pool.Reload(ctx, t.stage.command(f.pick))
		case faultBadReload:
			if err = pool.Reload(ctx, hostileCommand(t.stage.env, "hello-exit")); err == nil {
				return false, errors.New("it succeeded")
			}
			return !errors.Is(err, broker.ErrStopping), notStarted(err)
		}
		if errors.Is(err, broker.ErrStopping) {
			return false, nil
		}
		return true, err
	})
}

// notStarted returns nil for the error of a reload that has been given up because the worker did not become ready.
func notStarted(err error) error {
	if errors.As(err, new(broker.Exit)) || errors.Is(err, broker.ErrStopping) {
		return nil
	}
	return err
}

// betweenTries is the pause before another try, where no worker was ready.
const betweenTries = 5 * time.Millisecond

// eventually tries until it has worked, there is an error or callBound is over.
func eventually(ctx context.Context, try func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	for {
		if done, err := try(ctx); done || err != nil {
			return err
		}
		if err := pause(ctx, betweenTries); err != nil {
			return fmt.Errorf("it could not be thrown: %w", err)
		}
	}
}
