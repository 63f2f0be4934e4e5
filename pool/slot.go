package pool

import "log/slog"

// slot is a place for one process at a time. It is guarded by the pool's mutex.
type slot struct {
	index   int
	machine machine
	worker  *worker // the present incarnation; nil while stopped
}

// effects is what a change asks for outside of the mutex, in order.
type effects []func()

func (fx *effects) add(f func()) { *fx = append(*fx, f) }

func (fx effects) run() {
	for _, f := range fx {
		f()
	}
}

// change runs f under the mutex, lets the pool act on what it has changed, and runs the effects after unlocking.
func (p *Pool) change(f func(fx *effects)) {
	var fx effects
	p.mu.Lock()
	f(&fx)
	p.settle(&fx)
	p.mu.Unlock()
	fx.run()
}

// post hands an event of a worker's to its slot. It tells whether the worker's process turned out to be nobody's, so that its owner has to
// end it on its own.
func (p *Pool) post(w *worker, e event) (stray bool) {
	e.gen = w.gen
	p.change(func(fx *effects) { stray = p.apply(w.slot, e, fx) })
	return stray
}

// apply has a slot's machine take an event, and does what it asks for.
func (p *Pool) apply(s *slot, e event, fx *effects) (stray bool) {
	before := s.machine.state
	for _, a := range s.machine.step(e) {
		stray = stray || a == actReap
		p.act(a, s, e, fx)
	}
	after := s.machine.state
	if after == before {
		return stray
	}
	p.tellState(s.worker, e, after)
	if after == StateStopped {
		p.gone(s.worker, e, fx)
		s.worker = nil
	}
	p.census = p.count()
	p.notify()
	gen := s.machine.gen
	fx.add(func() {
		p.log.Debug("slot changed its state", slog.String("worker", workerName(p.opts.Name, s.index)), slog.Uint64("gen", gen), slog.String("state", after.String()), slog.String("reason", e.kind.String()))
	})
	return stray
}

// act does what the machine asks for, as far as it is data, and adds the rest to the effects.
func (p *Pool) act(a action, s *slot, e event, fx *effects) {
	w := s.worker
	switch a {
	case actLaunch:
		p.launch(s, fx)
	case actAnswer, actQueue, actRefuse:
		// The caller is dealt with in take.
	case actAdmit:
		p.admit(w, fx)
	case actFailWaiters:
		p.failWaiters(p.refusal(true), fx)
	case actWithdraw:
		w.blame(e.why)
		p.withdraw(w)
		w.poke()
		if e.kind == evRetire {
			p.tellRetiring(w)
		}
	case actLadder:
		w.end(p.firstRung(s), e.why)
	case actLadderKill:
		w.end(p.rungOf(e.from), e.why)
	case actNextRung:
		w.end(min(w.target+1, len(p.ladder)-1), e.why)
	case actBootFailed:
		p.bootFailed(w, e, fx)
	case actDied:
		p.died(w, e, fx)
	case actFailCalls:
		// The connection has failed them: see worker.bury.
	case actExitHook:
		w.bereaved = true
	case actResolveStop:
		p.notify()
	case actReap:
		// The sender does it: see post.
	case actLate:
		p.counters.LateEvents++
	default:
		p.countInternal(s.describe(e), fx)
	}
}

// settle brings the pool in line with what has changed: it is the one place where callers are failed for want of workers and where workers
// are started.
func (p *Pool) settle(fx *effects) {
	now := p.now()
	if p.delayed {
		now = p.restarts.failedAt // whom the failure concerns is told of it, even if its delay is over by now
	}
	p.retryLater(now, fx)
	if p.phase == phaseStopping && p.census.stopped == len(p.slots) {
		p.phase, p.asleep, p.owed = phaseOpen, true, 0
		p.restarts.proved()
		p.tellPool(Event{Kind: EventPoolStopped})
		p.notify()
	}
	p.startTrial(fx)
	if p.phase != phaseOpen && p.phase != phaseDraining {
		return
	}
	p.turnLoop(fx)
	if p.queue.length() > 0 {
		p.failWaiters(p.hopeless(now), fx)
	}
	p.dismiss(fx)
	for range plan(p.demand()) {
		p.owe(p.startIn(p.vacant(), fx))
	}
	p.yield(fx)
	p.turnLoop(fx)
	if p.queue.alone.first != nil {
		p.arrange(fx)
	}
}

func (p *Pool) demand() demand {
	d := demand{
		census:  p.census,
		waiting: p.queue.length(),
		places:  p.places,
		min:     p.min,
		max:     p.max,
		surge:   p.opts.Surge,
		owed:    p.owed,
		paused:  p.restarts.waits(p.now()) > 0,
		looping: p.restarts.looping,
	}
	if p.asleep || p.phase == phaseDraining {
		d.min, d.due, d.owed = 0, 0, 0
	}
	if p.wanted {
		d.waiting = max(1, d.waiting)
	}
	return d
}

// replan acts on a change of the demand. It is also what the retry timer does.
func (p *Pool) replan() { p.change(func(*effects) {}) }

// mayStart says that replan could start a worker for a caller: a quick look, and none at a clock.
func (p *Pool) mayStart() bool {
	return demand{census: p.census, max: p.max, surge: p.opts.Surge}.room() > 0
}

// startIn starts a worker in a stopped slot.
func (p *Pool) startIn(s *slot, fx *effects) *worker {
	p.apply(s, event{kind: evGet, gen: s.machine.gen}, fx)
	return s.worker
}

// count takes the census.
func (p *Pool) count() census {
	var c census
	for _, s := range p.slots {
		switch {
		case s.machine.state == StateStopped:
			c.stopped++
		case s.machine.state == StateStarting && s.worker.trial:
			c.trial++
		case s.machine.state == StateStarting:
			c.starting++
		case s.worker.open:
			c.ready++
			if s.worker.due != "" {
				c.due++
			}
		default:
			c.leaving++
		}
	}
	return c
}

// vacant returns the first stopped slot. There is one wherever there is room for a process.
func (p *Pool) vacant() *slot {
	for _, s := range p.slots {
		if s.machine.state == StateStopped {
			return s
		}
	}
	return nil
}

// failWaiters takes all callers out of the queue and fails them; with a nil error nothing happens.
func (p *Pool) failWaiters(err error, fx *effects) {
	if err == nil {
		return
	}
	for w := p.queue.drop(); w != nil; {
		next := w.next
		w.next, w.err = nil, err
		fx.add(w.verdict().execute)
		w = next
	}
}

// notify wakes everybody who waits for a change of the pool.
func (p *Pool) notify() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// internalError counts and logs what cannot happen.
func (p *Pool) internalError(text string) {
	p.change(func(fx *effects) { p.countInternal(text, fx) })
}

func (p *Pool) countInternal(text string, fx *effects) {
	p.counters.InternalErrors++
	fx.add(func() {
		p.log.Error("internal error", slog.String("reason", text))
		if p.opts.onInternal != nil {
			p.opts.onInternal(text)
		}
	})
}

func (s *slot) describe(e event) string {
	return "slot " + s.machine.state.String() + ": " + e.kind.String()
}
