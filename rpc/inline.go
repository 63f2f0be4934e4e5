package rpc

import "time"

// Where a worker takes several calls at a time its handlers have goroutines of their own, so that a slow one holds nobody up. But to wake a goroutine, and
// with it maybe a processor that the host could use, takes longer than many a handler runs. So the goroutine that reads runs handlers itself as long as
// they are quick, and writes the answers to what it has read together. It is found out by a look at the clock after each of them. If one blocks, the sweep
// has another goroutine read, as it does where there is one call at a time.

const (
	// inlineTime is what a call may take on average that is served by the goroutine that reads, all in all: some three times as long as handing it over.
	// inlineExcess is by how much calls may exceed that together.
	inlineTime   = 2 * time.Microsecond
	inlineExcess = 200 * time.Microsecond
	// inlineLong is from when on a call holds others up, and is not a matter of averages. One in inlineShare of all the time may be lost so, and
	// inlineCredit at once: now and then a processor is taken away, which looks the same.
	inlineLong   = 50 * time.Microsecond
	inlineShare  = 50
	inlineCredit = time.Millisecond
	// Then handlers have goroutines of their own until what was lost is that share of the time. Where that comes again after fewer than inlineRun
	// calls, it takes twice as long as before.
	inlineRun      = 1 << 12
	maxInlinePause = 10 * time.Second
	// inlineRest is for how long they have them because somebody called the host, which needs a reader.
	inlineRest = 20 * time.Millisecond

	// Answers are written when there are so many, or so many bytes, or when this takes as long as a gathering may.
	inlineAnswers = 32
	inlineBytes   = 32 << 10
)

// inlining is how quick the handlers of a worker that takes several calls at a time have been. Times are on the Peer's clock.
type inlining struct {
	since  time.Duration // when the goroutine that reads began with the call it is at
	read   uint64        // how many bytes had been read then
	excess time.Duration // what calls have taken beyond what they may, less what others took less
	lost   time.Duration // by long calls, less the share of the time since
	noted  time.Duration // when that was
	calls  int           // served since the last pause
	until  time.Duration // handlers have goroutines of their own
	pause  time.Duration // for how long that is, or was
}

// took takes note of a call that has been served.
func (i *inlining) took(now time.Duration) {
	took := now - i.since
	i.calls++
	i.excess = max(0, i.excess+min(took, inlineLong)-inlineTime)
	i.lost = max(0, i.lost-(now-i.noted)/inlineShare)
	if took > inlineLong {
		i.lost += took
	}
	i.since, i.noted = now, now
	if i.excess > inlineExcess || i.lost > inlineCredit {
		i.stop(now, i.lost)
	}
}

// stop gives handlers goroutines of their own for a while, because of so much lost time.
func (i *inlining) stop(now, lost time.Duration) {
	pause := inlineShare * max(lost, inlineCredit)
	if i.calls < inlineRun {
		pause = max(pause, 2*i.pause)
	}
	i.pause = min(pause, maxInlinePause)
	i.until, i.excess, i.lost, i.calls = now+i.pause, 0, 0, 0
}

// runsInline says whether the goroutine that reads is to run the handler of the call that has come; locked.
func (p *Peer) runsInline() bool {
	if p.host || p.inline {
		return p.inline
	}
	i := &p.serving.inlining
	if i.read != p.received { // it has waited since the last call
		i.read, i.since = p.received, p.now()
	}
	if i.pause == 0 {
		i.stop(i.since, 0) // a worker's first calls are slow
	}
	return i.since >= i.until
}

// runInline runs the handler on the goroutine that reads; locked, but unlocked when it returns.
func (p *Peer) runInline(in *incoming) error {
	s, gen := &p.serving, p.serving.gen
	if !p.inline {
		p.corkAnswers()
	}
	s.busy, in.inline, in.gen = true, true, gen
	s.seq++
	p.wakeSweep()
	p.mu.Unlock()
	p.run(in)
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.gen != gen {
		return errRoleLost
	}
	s.busy = false
	if !p.inline {
		s.inlining.took(p.now())
		p.uncorkSome()
	}
	return nil
}

// corkAnswers has the answers to what has been read written together; locked.
func (p *Peer) corkAnswers() {
	if o := &p.out; p.in.Pending() > 0 && p.try != nil && !o.gate {
		p.corked = true
		o.gate = true
		o.gathering.begin(p.serving.inlining.since)
	}
}

// uncorkSome writes what has been gathered if that is enough, or has taken long; locked, but unlocked while it writes.
func (p *Peer) uncorkSome() {
	o, i := &p.out, &p.serving.inlining
	if g := &o.gathering; p.corked && (g.count >= inlineAnswers || len(o.queue) >= inlineBytes || i.since-g.since > gatherFor) {
		p.writeCorked()
		i.since = p.now() // no handler's time
	}
}

// handOver gives the reading role of a goroutine that runs a handler, or waits for room, to another one; locked.
func (p *Peer) handOver() {
	s := &p.serving
	if !s.busy || p.end.read {
		return
	}
	s.busy = false
	s.gen++
	s.inlining.until = max(s.inlining.until, p.now()+inlineRest)
	go p.serveOn() // ends when it has lost the role in turn, or the stream ends
}

// handOverFor is handOver by the call's own handler: nobody else's is to lose the role; locked.
func (p *Peer) handOverFor(in *incoming) {
	if in.inline && in.gen == p.serving.gen {
		p.handOver()
	}
}

// takeOver has somebody else read because a handler blocks; locked.
func (p *Peer) takeOver() {
	i := &p.serving.inlining
	p.handOver()
	if now := p.now(); !p.inline {
		i.stop(now, now-i.since)
	}
}
