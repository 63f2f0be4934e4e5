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

func (g *gathering) begin(now time.Duration) { g.on, g.since, g.count = true, now, 0 }

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

// cork has a host's reader gather while it gives answers to callers of a worker with several places: each gives a place to the next one, whose call may
// be sent at once. All of those are written together; locked.
func (p *Peer) cork() {
	if o := &p.out; p.host && p.capacity > 1 && p.calls.pending.count > 0 && p.try != nil && !o.gate {
		p.corked = true
		o.gate = true
		o.gathering.begin(p.now())
	}
}

// uncork writes what has been gathered, if nobody else has; not locked, with the reading role.
func (p *Peer) uncork() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeCorked()
}

// writeCorked is uncork; locked, but unlocked while it writes.
func (p *Peer) writeCorked() {
	p.corked = false
	if o := &p.out; o.gathering.on {
		o.gathering.on = false
		p.flush()
	}
}

// gather lets others run that are about to send, and then writes everything; locked, but unlocked meanwhile. If they take their time one of
// them writes.
func (p *Peer) gather() {
	o := &p.out
	o.gate = true
	o.gathering.begin(p.now())
	p.mu.Unlock()
	runtime.Gosched()
	p.mu.Lock()
	if o.gathering.on {
		o.gathering.over(p.now() - o.gathering.since)
		p.flush()
	}
}
