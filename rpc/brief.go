package rpc

import "context"

// Waiting for two channels at a time costs twice as much as waiting for one, and more where many callers share a context: they all take the lock
// of its channel. Nearly every answer comes sooner than anybody could want to leave. So callers wait for their answer alone at first, and the
// sweep has those look at their contexts that have waited for a while.

// briefTicks is how many sweeps it takes: a caller waits for one to two milliseconds without looking.
const briefTicks = 2

// waitsBriefly puts the call into the list of those that do not look at their contexts, if it may be in there; locked.
func (p *Peer) waitsBriefly(c *call, ctx context.Context) bool {
	if c.wary || !p.host || p.intr == nil || p.end.read {
		return false
	}
	if ctx.Err() != nil {
		return false
	}
	c.tick = p.ticks
	p.calls.brief.push(c)
	p.wakeSweep()
	return true
}

// sweepBrief reports whether callers are left that do not look at their contexts; locked.
func (p *Peer) sweepBrief() bool {
	p.ticks++
	p.makeWary(briefTicks)
	return p.calls.brief.first != nil
}

// makeWary has those callers look at their contexts that have waited for so many sweeps; locked.
func (p *Peer) makeWary(ticks uint64) {
	for c := p.calls.brief.first; c != nil && p.ticks-c.tick >= ticks; c = p.calls.brief.first {
		p.calls.brief.remove(c)
		c.wary = true
		c.ready <- struct{}{}
	}
}
