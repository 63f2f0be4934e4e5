package pool

import "time"

// Counters count what has happened to a pool since it was made.
type Counters struct {
	Started        uint64 // processes
	BootFailures   uint64 // processes that did not become ready without our wish, launches that failed among them
	Deaths         uint64 // workers that went away after they had been ready, without our wish
	IdleStops      uint64 // workers stopped because they had been idle
	LateEvents     uint64 // events that came too late to matter
	InternalErrors uint64 // events that cannot happen: each is a bug in this package or in the dialect
}

// Snapshot is what a pool looks like at one moment.
type Snapshot struct {
	Pool         string
	Waiting      int              // callers in the queue
	Workers      []WorkerSnapshot // one for each slot, stopped ones too
	BackoffUntil time.Time        // no worker is started before this; zero: none is delayed
	Closed       bool             // by Close, or by Shutdown when it was done draining
	Counters     Counters
}

// WorkerSnapshot is one slot of a Snapshot. What is below State is about the present process, and zero while the slot is stopped.
type WorkerSnapshot struct {
	Slot       int
	State      State
	PID        int // 0: not launched yet
	Generation uint64
	InFlight   int           // calls
	Places     int           // calls that it takes at a time; 0: not known yet
	Calls      uint64        // answered
	Age        time.Duration // since the launch
	Retiring   bool          // it finishes its calls and gets no others
}

// Snapshot returns what the pool looks like now.
func (p *Pool) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	s := Snapshot{
		Pool:     p.opts.Name,
		Waiting:  p.queue.length(),
		Workers:  make([]WorkerSnapshot, len(p.slots)),
		Closed:   p.phase == phaseClosed,
		Counters: p.counters,
	}
	if p.restarts.waits(now) > 0 {
		s.BackoffUntil = p.epoch.Add(p.restarts.until)
	}
	for i, slot := range p.slots {
		s.Workers[i] = slot.snapshot(now)
	}
	return s
}

func (s *slot) snapshot(now time.Duration) WorkerSnapshot {
	shot := WorkerSnapshot{Slot: s.index, State: s.machine.state}
	if w := s.worker; w != nil {
		shot.PID = w.pid
		shot.Generation = w.gen
		shot.InFlight = w.inFlight
		shot.Places = w.places
		shot.Calls = w.calls.Load()
		shot.Age = now - w.launched
		shot.Retiring = s.machine.facts.retiring
	}
	return shot
}
