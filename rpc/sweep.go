package rpc

import (
	"slices"
	"sync"
	"time"
)

// sweepEvery is how often active connections are looked at. It bounds how long a context's end goes unnoticed by a caller that reads, and
// how long a worker's handler keeps others from being read.
const sweepEvery = time.Millisecond

// sweeper looks at active connections in place of a timer for each call. One goroutine serves all connections that share it and runs only
// while one of them is active.
type sweeper struct {
	mu    sync.Mutex
	peers []*Peer
	round *round // nil while no connection is active
}

// round is the life of one sweeping goroutine.
type round struct{ stop, stopped chan struct{} }

// add has p swept until it is no longer active. p must not be in.
func (s *sweeper) add(p *Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = append(s.peers, p)
	if s.round == nil {
		s.round = &round{make(chan struct{}), make(chan struct{})}
		go s.run(s.round) // ends when no connection is active
	}
}

// remove has p, which is closed, no longer swept. With the last connection the goroutine ends, and is waited for.
func (s *sweeper) remove(p *Peer) {
	s.mu.Lock()
	last := s.round
	if !s.drop(p) {
		last = nil
	}
	s.mu.Unlock()
	if last != nil {
		close(last.stop)
		<-last.stopped
	}
}

// drop takes p out and reports whether it was the last one, whose round is over; locked.
func (s *sweeper) drop(p *Peer) bool {
	i := slices.Index(s.peers, p)
	if i < 0 {
		return false
	}
	s.peers = slices.Delete(s.peers, i, i+1)
	if len(s.peers) > 0 {
		return false
	}
	s.round = nil
	return true
}

func (s *sweeper) run(r *round) {
	defer close(r.stopped)
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-r.stop:
			return
		}
		if s.sweep(r) {
			return
		}
	}
}

// sweep looks at all active connections and reports whether the round is over: the last of them has become inactive, or was removed meanwhile.
func (s *sweeper) sweep(r *round) (over bool) {
	s.mu.Lock()
	peers := slices.Clone(s.peers)
	over = s.round != r
	s.mu.Unlock()
	for i := 0; i < len(peers) && !over; i++ {
		if !peers[i].sweepOnce() {
			over = s.inactive(peers[i], r)
		}
	}
	return over
}

// inactive takes p out, and reports whether the round is over. If it was before, p belongs to the next one by now, which is not to lose it.
func (s *sweeper) inactive(p *Peer, r *round) (over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.round != r || s.drop(p)
}

// wakeSweep has the connection swept while it is active; locked.
func (p *Peer) wakeSweep() {
	if p.swept || p.end.read {
		return
	}
	p.swept = true
	p.group.sweeper.add(p)
}

// sweepOnce looks at the connection and reports whether it wants to be looked at again; not locked.
func (p *Peer) sweepOnce() bool {
	p.mu.Lock()
	p.swept, p.sweptAt = false, p.now()
	var do []func()
	switch {
	case p.end.read:
	case p.host:
		p.swept, do = p.sweepStalls()
		p.swept = p.sweepReader() || p.swept
		p.swept = p.sweepBrief() || p.swept
	default:
		p.swept = p.sweepHandler()
	}
	again := p.swept
	p.mu.Unlock()
	free(do...)
	return again
}

// sweepReader moves callers that read for long off the stream, so that they see the end of their context, and has a quiet connection read,
// so that its end is seen; locked.
func (p *Peer) sweepReader() bool {
	r := &p.reading
	switch r.role {
	case callerReads:
		if r.seq == r.seen {
			p.kick()
		}
		r.seen = r.seq
		return true
	case nobody:
		if r.quiet++; r.quiet >= quietSweeps {
			p.in.Shrink()
			p.readInBackground()
			return false
		}
		return true
	default:
		return false // whoever reads gives the role up by himself
	}
}

// sweepHandler has somebody else read where a handler on the reading goroutine takes long; locked. With no handler there is nothing to look at until
// the next call has the connection swept again: each further look would wake a sleeping process, at many times the price of that call.
func (p *Peer) sweepHandler() bool {
	s := &p.serving
	if !s.busy {
		return false
	}
	if s.seq == s.seen {
		p.takeOver()
	}
	s.seen = s.seq
	return true
}
