package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/stdcrew/stdcrew/process"
)

// reload is one under way: a worker with the new command is on trial. It is guarded by the pool's mutex.
type reload struct {
	command process.Command
	version uint64
	worker  *worker // on trial; nil: not launched yet
	over    bool    // the trial
	err     error   // why the trial failed; nil: it did not
}

// Reload replaces all workers by ones that run this command, or by fresh ones of the same if it is the zero Command. It is for a new version of
// the worker program, and loses no call: one worker is started on trial, beyond Max if need be. Once it is ready, back-off or not, the command is
// that of all workers to come, and the others are replaced as those that are too old are: each retires when a successor is ready, and calls
// that it has been given have RetireGrace to end.
//
// If the worker on trial does not become ready, Reload returns the reason and everything stays as it was. The same goes for ctx ending before it
// is ready. After that Reload waits until no process of before is left; when ctx ends it returns, and the rest goes on. Of several Reloads at a
// time, the trials take place one after another, and the last one wins.
func (p *Pool) Reload(ctx context.Context, c process.Command) error {
	r := &reload{command: c}
	if err := p.try(ctx, r); err != nil {
		return fmt.Errorf("pool %s: the workers stay as they are: reload: %w", p.opts.Name, tailed(err))
	}
	if !p.until(ctx.Done(), func() bool { return p.noneBefore(r.version) }) {
		return fmt.Errorf("pool %s: the reload goes on: %w", p.opts.Name, contextError(ctx))
	}
	return nil
}

// try has a worker with the new command started, and waits for what becomes of it.
func (p *Pool) try(ctx context.Context, r *reload) error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	if err := p.checkReload(r.command); err != nil {
		return err
	}
	if err := p.beginTrial(ctx, r); err != nil {
		return err
	}
	if !p.until(ctx.Done(), func() bool { return r.over }) {
		p.change(func(fx *effects) { p.cancelTrial(r, contextError(ctx), fx) })
	}
	return r.err // set for good
}

// checkReload says what is wrong with a command, as far as that is known without trying.
func (p *Pool) checkReload(c process.Command) error {
	switch {
	case isZero(c) || p.opts.Start != nil:
		return nil
	case c.Path == "" && c.Self == "":
		return errors.New("the command's Path is empty; set it, or leave the whole command empty for the same program")
	case c.Path != "" && c.Self != "":
		return fmt.Errorf("the command's Path %q and Self %q exclude each other; remove one", c.Path, c.Self)
	}
	return nil
}

func isZero(c process.Command) bool { return reflect.ValueOf(c).IsZero() }

// beginTrial waits for its turn and has the trial begin.
func (p *Pool) beginTrial(ctx context.Context, r *reload) error {
	var refused error
	mine := p.until(ctx.Done(), func() bool {
		if refused = p.closedTo(); refused != nil || p.reload != nil {
			return refused != nil
		}
		r.version = p.version + 1
		if isZero(r.command) {
			r.command = p.command
		}
		p.reload = r
		return true
	})
	if !mine {
		return contextError(ctx)
	}
	p.replan()
	return refused
}

// closedTo says why the pool is not to be changed: it is ending.
func (p *Pool) closedTo() error {
	switch p.phase {
	case phaseOpen:
		return nil
	case phaseStopping:
		return ErrStopping
	default:
		return ErrClosed
	}
}

// startTrial launches the worker that is to be tried, when there is room for it. A pool that is ending tries nothing.
func (p *Pool) startTrial(fx *effects) {
	r := p.reload
	if r == nil {
		return
	}
	if refused := p.closedTo(); refused != nil {
		p.cancelTrial(r, refused, fx)
		return
	}
	if r.worker != nil || p.census.processes() >= p.max+max(1, p.demand().beyond()) {
		return
	}
	w := p.startIn(p.vacant(), fx)
	w.trial, w.command, w.version = true, r.command, r.version
	r.worker = w
	p.census = p.count()
}

// trialFailed gives a reload up: everything stays as it is.
func (p *Pool) trialFailed(w *worker, err error, fx *effects) {
	w.trial = false
	r := p.reload
	if r == nil || r.worker != w {
		return
	}
	p.endTrial(err)
	fx.add(func() { w.log().Warn("reload given up", slog.Any("err", err), slog.String("stderr", tailOf(err))) })
}

func (p *Pool) endTrial(err error) {
	p.reload.over, p.reload.err = true, err
	p.reload = nil
	if err == nil {
		p.tellPool(Event{Kind: EventPoolReloaded})
	} else {
		p.tellPool(Event{Kind: EventPoolNotReloaded, Err: err})
	}
	p.notify()
}

// cancelTrial ends a trial that nobody waits for any more, unless it has just ended. The worker goes, if it is not going anyway.
func (p *Pool) cancelTrial(r *reload, err error, fx *effects) {
	if p.reload != r {
		return
	}
	p.endTrial(err)
	w := r.worker
	if w == nil {
		return
	}
	w.trial = false
	switch {
	case w.slot.machine.state != StateStarting:
	case w.pid == 0:
		p.retire(w, process.KillerReload, fx) // it is being launched
	default:
		p.apply(w.slot, event{kind: evKill, gen: w.gen, why: process.KillerReload, from: process.Kill}, fx)
	}
}

// admitVersion takes note of a worker that has become ready. If it was on trial its command is that of all from now on; if it runs an older one
// it is to be replaced.
func (p *Pool) admitVersion(w *worker, fx *effects) {
	if w.trial {
		w.trial = false
		p.command, p.version = w.command, w.version
		p.restarts.proved()
		p.endTrial(nil)
		for _, s := range p.slots {
			p.outdated(s.worker)
		}
		fx.add(func() { w.log().Info("reload goes on: the new worker is ready") })
	}
	p.outdated(w)
}

// outdated marks a worker that runs what a reload has replaced.
func (p *Pool) outdated(w *worker) {
	if w != nil && w.version < p.version {
		p.markDue(w, process.KillerReload)
	}
}

// noneBefore says that no process of an older version is left.
func (p *Pool) noneBefore(version uint64) bool {
	for _, s := range p.slots {
		if s.worker != nil && s.worker.version < version {
			return false
		}
	}
	return true
}
