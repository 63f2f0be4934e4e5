package pool

import (
	"context"
	"fmt"
	"runtime"

	"github.com/stdcrew/stdcrew/process"
)

// Resize sets Min and Max; zero is the default for each, as in Options. It takes effect at once: workers that are missing start in the background,
// those that are too many retire, those that have been idle for longest first, then those with the fewest calls, which have RetireGrace to end.
// Resize waits until no more processes are left than the new Max, and a successor or two. When ctx ends it returns, and the rest goes on.
func (p *Pool) Resize(ctx context.Context, minimum, maximum int) error {
	o := Options{Name: p.opts.Name, Command: p.opts.Command, Start: p.opts.Start, Min: minimum, Max: maximum}
	if err := o.check(); err != nil {
		return err
	}
	setIfZero(&maximum, max(runtime.GOMAXPROCS(0), minimum))
	var refused error
	p.change(func(fx *effects) {
		if refused = p.closedTo(); refused == nil {
			p.min, p.max = minimum, maximum
			p.tellPool(Event{Kind: EventPoolResized, Min: minimum, Max: maximum})
			p.fitSlots()
			p.retireExcess(fx)
			p.census = p.count()
			p.watchIdle()
			p.notify()
		}
	})
	if refused != nil {
		return fmt.Errorf("pool %s: resize: %w", p.opts.Name, refused)
	}
	if !p.until(ctx.Done(), func() bool { return p.demand().room() >= 0 }) {
		return fmt.Errorf("pool %s: the resize goes on: %w", p.opts.Name, contextError(ctx))
	}
	return nil
}

// fitSlots makes as many slots as there may be processes. There are never fewer again: a slot's index and generation are the name of one process.
func (p *Pool) fitSlots() {
	for len(p.slots) < p.max+max(1, p.opts.Surge) {
		p.slots = append(p.slots, &slot{index: len(p.slots)})
	}
}

// retireExcess retires workers until no more than Max are left.
func (p *Pool) retireExcess(fx *effects) {
	for p.census.ready+p.census.starting > p.max {
		p.retire(p.leastMissed(), process.KillerResize, fx)
	}
}

// leastMissed is the worker that has been idle for longest, or else one that is starting, or else the one with the fewest calls.
func (p *Pool) leastMissed() *worker {
	if w := p.ready.idlest(); w != nil {
		return w
	}
	var least *worker
	for _, s := range p.slots {
		switch w := s.worker; {
		case w == nil || w.trial:
		case s.machine.state == StateStarting:
			return w
		case w.open && (least == nil || w.inFlight < least.inFlight):
			least = w
		}
	}
	return least
}
