package rpc

import (
	"cmp"
	"fmt"
	"time"
)

// patience is how long the other side may take over what it owes. Zero: for ever, as a worker's end has it.
type patience struct{ cancel, write, frame, beat time.Duration }

const (
	defaultCancelGrace = 5 * time.Second
	defaultStall       = 10 * time.Second
)

func (o *HostOptions) patience() patience {
	limits := patience{
		write: max(cmp.Or(o.WriteStall, defaultStall), 0),
		frame: max(cmp.Or(o.FrameStall, defaultStall), 0),
		beat:  max(cmp.Or(o.Heartbeat, defaultHeartbeat), 0),
	}
	if o.Stuck != nil {
		limits.cancel = max(cmp.Or(o.CancelGrace, defaultCancelGrace), 1)
	}
	return limits
}

// stalls is what the sweep needs to know of what is under way and should make progress: a write, a frame, a canceled call. Neither a timer nor a
// clock is touched for it where all goes well.
type stalls struct {
	clock time.Duration // how long something has been under way, as far as the host was awake to see it
	last  time.Duration // when clock was last advanced, on the Peer's clock; 0: nothing was under way
	write stall
	frame stall
	reads uint64 // counts what the reader got
	bytes uint64 // that the reader got
	part  int    // bytes of a frame that has not come whole

	unread uint64 // bytes of what was written that had not been read when that was last asked for
	asking bool   // it is just being asked for
}

// longestStep bounds what one sweep adds to the clock: where the host itself stood still, the other side is not to blame.
const longestStep = 100 * time.Millisecond

func (s *stalls) advance(now time.Duration) {
	if s.last > 0 {
		s.clock += min(now-s.last, longestStep)
	}
	s.last = now
}

// stall is one thing that should make progress.
type stall struct {
	mark, other uint64        // how far it was when it was last seen to move
	since       time.Duration // when that was, on the clock of the stalls
}

// still says for how long the thing has not moved.
func (s *stall) still(clock time.Duration, mark, other uint64) time.Duration {
	if s.mark != mark || s.other != other {
		*s = stall{mark: mark, other: other, since: clock}
	}
	return clock - s.since
}

// noteFrame takes note of how far the reader is; locked, with the reading role.
func (p *Peer) noteFrame() {
	s := &p.stalls
	s.reads++
	s.bytes = p.received
	s.part = p.in.Pending()
	if s.part > 0 && p.limits.frame > 0 && p.phase == open {
		p.wakeSweep()
	}
}

// sweepStalls looks at what is under way; locked. again says that something is; do is for after the unlocking.
func (p *Peer) sweepStalls() (again bool, do []func()) {
	if p.end.err != nil || p.phase != open {
		return false, nil
	}
	s := &p.stalls
	s.advance(p.sweptAt)
	writes := p.out.delegated && p.limits.write > 0
	reads := s.part > 0 && p.limits.frame > 0
	waits, stuck := p.sweepLeft()
	if writes && p.count != nil && !s.asking {
		s.asking = true
		p.tasks.Add(1)
		go p.askUnread() // ends when the pipe has answered, at the latest when the worker is dead
	}
	switch {
	case writes && s.write.still(s.clock, p.out.claimed+p.out.writes, s.unread) >= p.limits.write:
		return false, p.stalled(fmt.Errorf("%w: nothing of what is being written to it was read for %v", ErrWriteStall, p.limits.write))
	case reads && s.frame.still(s.clock, s.reads, 0) >= p.limits.frame:
		return false, p.stalled(fmt.Errorf("%w: %d bytes of it came, and nothing more for %v", ErrFrameStall, s.part, p.limits.frame))
	}
	if stuck {
		do = append(do, p.notify.stuck)
	}
	if again = writes || reads || waits; !again {
		s.last = 0
	}
	return again, do
}

// askUnread finds out how much of what was written has not been read. A worker that splices can hold up who asks (P50), and so neither the lock is
// held meanwhile nor the sweep, which looks after other connections too.
func (p *Peer) askUnread() {
	defer p.tasks.Done()
	n, _, _ := p.count.Unread() // fails for a closed stream only
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalls.unread, p.stalls.asking = uint64(n), false
}

// sweepLeft looks at the calls whose callers have left; locked. waits says that there are some which are not stuck, stuck that some are from
// now on.
func (p *Peer) sweepLeft() (waits, stuck bool) {
	if p.limits.cancel == 0 {
		return false, false
	}
	for c := p.calls.left.first; c != nil; c = p.calls.left.first {
		if p.stalls.clock-c.leftAt < p.limits.cancel {
			return true, stuck
		}
		p.calls.left.remove(c)
		c.stuck, stuck = true, true
	}
	return false, stuck
}

// stalled ends the connection's use because nothing moves; locked. What can still be read is not lost by it.
func (p *Peer) stalled(err error) (freed []func()) {
	p.lose(err)
	if p.hold {
		return nil
	}
	return p.abort(err)
}
