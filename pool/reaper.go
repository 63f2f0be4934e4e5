package pool

import "github.com/stdcrew/stdcrew/process"

// The reaper stops workers beyond Min that have been without a call for IdleTimeout. It has one timer, which runs only while there is
// somebody to stop: the worker that has been idle for longest is the last of the ready set's first shelf, so its deadline is the first
// to come, and workers that become idle while the timer runs do not touch it.

// watchIdle lets the timer run if it does not and somebody may have to be stopped.
func (p *Pool) watchIdle() {
	if p.idleSet || p.phase != phaseOpen || p.opts.IdleTimeout <= 0 || p.census.ready <= p.min {
		return
	}
	if w := p.ready.idlest(); w != nil {
		p.idleSet = true
		p.idle.Reset(w.idleSince + p.opts.IdleTimeout - p.now())
	}
}

// reapIdle is what the timer does: it stops those whose time is over, and waits for the next.
func (p *Pool) reapIdle() {
	p.change(func(fx *effects) {
		p.idleSet = false
		for p.phase == phaseOpen && p.census.ready > p.min {
			w := p.ready.idlest()
			if w == nil || p.now() < w.idleSince+p.opts.IdleTimeout {
				break
			}
			p.counters.IdleStops++
			p.apply(w.slot, event{kind: evRetire, gen: w.gen, why: process.KillerIdle}, fx)
			p.apply(w.slot, event{kind: evDrained, gen: w.gen}, fx)
		}
		p.watchIdle()
	})
}
