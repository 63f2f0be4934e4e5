package rpc

import (
	"runtime"
	"time"
)

const (
	gatherFor  = 50 * time.Microsecond // gathering should not take longer
	gatherLook = 8                     // one in so many frames that come meanwhile looks at the clock, the first and then each eighth
	gatherSkip = 8                     // frames that are written at once after a gathering that took longer; twice as many after each further one
	gatherRare = 1 << 12               // at most so many
)

// gathering is when the holder of the gate lets others run first that are about to send, to write for them too.
type gathering struct {
	on    bool
	since time.Duration // on the Peer's clock
	count int           // frames that others have sent meanwhile
	skip  int           // frames to write at once, since it took long
	rare  int           // how many there were last time
}

// over takes note of the end of a gathering.
func (g *gathering) over(took time.Duration) {
	g.on = false
	if took <= gatherFor {
		g.rare = 0
		return
	}
	g.rare = min(max(2*g.rare, gatherSkip), gatherRare)
	g.skip = g.rare
}

// gathered takes note of a frame for which somebody else is gathering. If that takes long it is written here, with all others.
func (p *Peer) gathered() {
	g := &p.out.gathering
	g.count++
	if g.count%gatherLook != 1 {
		return
	}
	if took := p.now() - g.since; took > gatherFor {
		g.over(took)
		p.flush()
	}
}

// company says whether others are about to send too: callers for whom there was an answer in the same read, handlers for whom there was a call.
func (p *Peer) company() bool {
	if p.capacity <= 1 {
		return false
	}
	if g := &p.out.gathering; g.skip > 0 {
		g.skip--
		return false
	}
	return p.calls.pending.count > 1 || p.serving.running.count > 0
}

// gather lets others run that are about to send, and then writes everything; locked, but unlocked meanwhile. If they take their time one of
// them writes.
func (p *Peer) gather() {
	o := &p.out
	o.gate = true
	o.gathering.on, o.gathering.since, o.gathering.count = true, p.now(), 0
	p.mu.Unlock()
	runtime.Gosched()
	p.mu.Lock()
	if o.gathering.on {
		o.gathering.over(p.now() - o.gathering.since)
		p.flush()
	}
}
