package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// leastDrain is how long a dead process gets at the least: besides reading its standard error it looks for what it has left behind.
const leastDrain = 2 * time.Second

// Ready waits until Min workers are ready, starting them if Stop has ended them. It fails when ctx ends, when the pool is stopped or closed,
// or when the workers cannot be started: then the error holds the last failure.
func (p *Pool) Ready(ctx context.Context) error {
	p.change(func(*effects) { p.asleep = false })
	var err error
	arrived := p.until(ctx.Done(), func() bool {
		if p.phase == phaseOpen && p.census.ready >= p.min {
			return true
		}
		if err = p.refusal(false); err == nil && p.asleep {
			err = ErrStopping // and the stop is over already
		}
		return err != nil
	})
	if !arrived {
		err = p.explain(contextError(ctx))
	}
	if err != nil {
		return fmt.Errorf("pool %s is not ready: %w", p.opts.Name, tailed(err))
	}
	return nil
}

// Stop stops all workers without closing the pool: callers that wait fail with ErrStopping, as do those that come meanwhile; calls in
// flight get StopGrace. It returns when all processes are gone. When ctx ends it returns its error, and the stop goes on. The next call
// after it starts a worker, back-off or not. Stopping a pool that is being stopped joins that stop.
func (p *Pool) Stop(ctx context.Context) error {
	p.change(func(fx *effects) {
		if p.phase != phaseOpen {
			return
		}
		p.phase = phaseStopping
		p.tellPool(Event{Kind: EventPoolStopping})
		p.failWaiters(ErrStopping, fx)
		for _, s := range p.slots {
			p.apply(s, event{kind: evStop, gen: s.machine.gen, why: process.KillerAsked}, fx)
		}
	})
	if p.until(ctx.Done(), func() bool {
		return p.phase == phaseOpen || p.phase != phaseStopping && p.census.stopped == len(p.slots)
	}) {
		return nil
	}
	return fmt.Errorf("pool %s: the stop goes on: %w", p.opts.Name, contextError(ctx))
}

// Shutdown refuses new calls, serves those that run or wait until ctx ends, and then closes the pool as Close does.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.change(func(*effects) {
		if p.phase != phaseClosed && p.phase != phaseDraining {
			p.phase = phaseDraining
			p.tellPool(Event{Kind: EventPoolDraining})
		}
		p.notify()
	})
	served := p.until(ctx.Done(), func() bool { return p.phase == phaseClosed || p.quiet() })
	err := p.Close()
	if !served {
		return errors.Join(fmt.Errorf("pool %s: not all calls were served: %w", p.opts.Name, contextError(ctx)), err)
	}
	return err
}

// quiet says that no call waits or runs.
func (p *Pool) quiet() bool {
	for _, s := range p.slots {
		if s.worker != nil && s.worker.inFlight > 0 {
			return false
		}
	}
	return p.queue.length() == 0
}

// Close ends the pool: calls that wait or run fail with ErrClosed, workers that are ready climb the ladder, those that are starting are
// killed. It returns when all processes are gone, and after StopGrace + CloseGrace + KillGrace + DrainTimeout (2 s, if that is less) in
// any case. Its error names the workers that had to be forced, and what was not gone by then. Further calls do the same.
func (p *Pool) Close() error {
	p.change(p.beginClose)
	o := p.opts
	bound := o.StopGrace + o.CloseGrace + o.KillGrace + max(o.DrainTimeout, leastDrain)
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	p.until(ctx.Done(), func() bool { return len(p.owners) == 0 })
	return p.closeReport()
}

func (p *Pool) beginClose(fx *effects) {
	if p.phase == phaseClosed {
		return
	}
	p.phase = phaseClosed
	p.tellPool(Event{Kind: EventPoolClosing})
	p.idle.Stop()
	p.retry.Stop()
	p.failWaiters(ErrClosed, fx)
	for _, s := range p.slots {
		e := event{kind: evStop, gen: s.machine.gen, why: process.KillerShutdown, from: process.Kill}
		if w := s.worker; w != nil {
			w.abort = true
			w.poke()
			// Where the process is still being launched, it is killed when it is there: worker.beginStart.
			if state := s.machine.state; w.pid != 0 && (state == StateStarting || state == StateWaitingReady) {
				e.kind = evKill
			}
		}
		p.apply(s, e, fx)
	}
	p.notify()
}

// closeReport says what had to be forced and what is left. That is not waited for any longer.
func (p *Pool) closeReport() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.problems()
	p.fallSilent(err)
	return err
}

func (p *Pool) problems() error {
	problems := append([]error(nil), p.forced...)
	for _, w := range p.owners {
		problems = append(problems, fmt.Errorf("worker %s (pid %d): %v", w.name(), w.pid, w.stage))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("pool %s: close: %w", p.opts.Name, err)
	}
	return nil
}

func (p *Pool) closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase == phaseClosed
}

// until waits for a condition, which is looked at under the mutex whenever the pool has changed. It returns false if done is closed first.
func (p *Pool) until(done <-chan struct{}, condition func() bool) bool {
	for {
		p.mu.Lock()
		if condition() {
			p.mu.Unlock()
			return true
		}
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-done:
			return false
		}
	}
}
