package pool

import (
	"time"
)

// Snapshot is what a pool looks like at one moment. It is a plain value: nothing in it changes later, and all of it may be kept. As JSON,
// durations are in nanoseconds, and the names of their fields say so.
type Snapshot struct {
	Pool  string    `json:"pool"`
	Taken time.Time `json:"taken"` // in UTC, as all times here
	// Phase says which calls the pool takes: "open", all; "stopping", none until Stop is done; "draining", none but those taken before
	// Shutdown; "closed", none any more.
	Phase  string `json:"phase"`
	Closed bool   `json:"closed"`           // by Close, or by Shutdown when it was done draining: the phase
	Asleep bool   `json:"asleep,omitempty"` // by Stop: Min workers are not kept until the next call, Ready or Reload

	Waiting    int           `json:"waiting"`        // callers in the queue
	OldestWait time.Duration `json:"oldest_wait_ns"` // how long the one has waited that came first; 0: nobody waits

	Min int `json:"min"` // workers that are kept
	Max int `json:"max"` // processes at the most, but for successors

	Workers []WorkerSnapshot `json:"workers"` // one for each slot, stopped ones too, but not those for successors

	// BackoffUntil is when the next worker may be started at the earliest. Zero: none is delayed.
	BackoffUntil time.Time `json:"backoff_until,omitzero"`
	// BackoffDelay is the last delay, without its jitter; the next is twice as long, up to Restart.Max. 0: the next is Restart.Min.
	BackoffDelay time.Duration `json:"backoff_delay_ns,omitempty"`
	FailedStarts int           `json:"failed_starts,omitempty"` // in a row, since a worker was last ready
	BootError    string        `json:"boot_error,omitempty"`    // the last of those, with the end of the process's standard error
	// CrashLoop says that no worker is ready because they cannot be started: "open", callers fail with BootError until BackoffUntil, and the next one
	// to come after that has a process started; "probing", that process is starting, callers wait for it, and no other is started. Empty: it is over
	// when a worker has become ready.
	CrashLoop string `json:"crash_loop,omitempty"`

	Counters Counters `json:"counters"`
}

// WorkerSnapshot is one slot of a Snapshot. What is below State is about the present process, and zero while the slot is stopped.
type WorkerSnapshot struct {
	Slot       int           `json:"slot"`
	State      State         `json:"state"`
	PID        int           `json:"pid,omitempty"`        // 0: not launched yet
	Generation uint64        `json:"generation,omitempty"` // counts the processes of the slot
	Age        time.Duration `json:"age_ns,omitempty"`     // since the launch

	Calls    uint64        `json:"calls,omitempty"`     // answered
	InFlight int           `json:"in_flight,omitempty"` // places taken: by calls, and by leases even between their calls
	Places   int           `json:"places,omitempty"`    // calls that it takes at a time; 0: not known yet
	Idle     time.Duration `json:"idle_ns,omitempty"`   // how long it has been ready without a call or a lease

	// Running are the calls at the worker, oldest first, those among them whose callers have left. It is looked up a moment after the rest.
	Running []CallSnapshot  `json:"running,omitempty"`
	Leases  []LeaseSnapshot `json:"leases,omitempty"` // in no particular order

	Due       string `json:"due,omitempty"`        // it is to be replaced when a successor is ready: a process.Killer; empty: it is not
	Retiring  bool   `json:"retiring,omitempty"`   // it finishes its calls and gets no others
	Why       string `json:"why,omitempty"`        // it retires or is being stopped: a process.Killer; empty: neither
	Stuck     bool   `json:"stuck,omitempty"`      // it has not ended a canceled call within CancelGrace
	LastWords string `json:"last_words,omitempty"` // its own: with its goodbye, or else while it was still loading

	LateFrames    uint64 `json:"late_frames,omitempty"`    // answers that nobody waited for any more
	IgnoredFrames uint64 `json:"ignored_frames,omitempty"` // messages that nobody had asked for
}

// CallSnapshot is a call at a worker.
type CallSnapshot struct {
	Method  string        `json:"method"`
	Attempt int           `json:"attempt"`         // 1 for the first
	Age     time.Duration `json:"age_ns"`          // since it was sent
	Left    string        `json:"left,omitempty"`  // why its caller no longer waits; empty: it does
	Stuck   bool          `json:"stuck,omitempty"` // its caller left longer than CancelGrace ago
}

// LeaseSnapshot is a lease of a worker.
type LeaseSnapshot struct {
	Age  time.Duration `json:"age_ns"`         // since it was acquired
	Busy bool          `json:"busy,omitempty"` // one of its calls is at the worker
}

// Snapshot returns what the pool looks like now. It looks at the pool as a whole, then at one connection after the other, and holds up neither
// for longer than that takes.
func (p *Pool) Snapshot() Snapshot {
	s, conns, bootError := p.look()
	if bootError != nil {
		s.BootError = withTail(bootError)
	}
	for i, conn := range conns {
		if conn != nil {
			s.addConn(&s.Workers[i], conn)
		}
	}
	return s
}

// withTail is an error's text, with the end of the standard error of the process that it is about, if there is any.
func withTail(err error) string { return tailed(err).Error() }

// look takes down what the pool itself knows, and hands out the rest to be asked after unlocking: a connection has a lock of its own, an
// error may be anybody's.
func (p *Pool) look() (s Snapshot, conns []Conn, bootError error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	s = Snapshot{
		Pool:         p.opts.Name,
		Taken:        p.timeOf(now),
		Phase:        p.phase.String(),
		Closed:       p.phase == phaseClosed,
		Asleep:       p.asleep,
		Waiting:      p.queue.length(),
		Min:          p.min,
		Max:          p.max,
		BackoffDelay: p.restarts.backoff.Last(),
		FailedStarts: p.restarts.failures,
		CrashLoop:    string(p.loopNow()),
		Counters:     p.countersNow(),
	}
	if first := p.queue.oldest(); first != nil {
		s.OldestWait = now - first.since
	}
	if p.restarts.waits(now) > 0 {
		s.BackoffUntil = p.timeOf(p.restarts.until)
	}
	s.Workers, conns = make([]WorkerSnapshot, 0, len(p.slots)), make([]Conn, 0, len(p.slots)) // to let them grow would take longer, and callers wait
	for i, slot := range p.slots {
		if i >= p.max && slot.worker == nil {
			continue
		}
		s.Workers = append(s.Workers, slot.snapshot(now))
		var conn Conn
		if slot.worker != nil {
			conn = slot.worker.conn
		}
		conns = append(conns, conn)
	}
	return s, conns, p.restarts.last
}

// timeOf turns a time of the pool's own clock into one for everybody.
func (p *Pool) timeOf(t time.Duration) time.Time { return p.epoch.Add(t).UTC() }

// oldest is the caller in the queue that came first; nil if nobody waits.
func (q *queue) oldest() *waiter {
	var oldest *waiter
	for _, w := range []*waiter{q.retried.first, q.waiting.first, q.alone.first} {
		if oldest == nil || w != nil && w.since < oldest.since {
			oldest = w
		}
	}
	return oldest
}

func (s *slot) snapshot(now time.Duration) WorkerSnapshot {
	shot := WorkerSnapshot{Slot: s.index, State: s.machine.state}
	w := s.worker
	if w == nil {
		return shot
	}
	shot.PID, shot.Generation, shot.Age = w.pid, w.gen, now-w.launched
	shot.Calls, shot.InFlight, shot.Places = w.calls.Load(), w.inFlight, w.places
	if w.open && w.inFlight == 0 {
		shot.Idle = now - w.idleSince
	}
	for _, l := range w.leases {
		shot.Leases = append(shot.Leases, LeaseSnapshot{Age: now - l.since, Busy: len(l.turn) == 0})
	}
	shot.Due = string(w.due)
	shot.Retiring, shot.Why = s.machine.facts.retiring, string(w.why)
	shot.Stuck, shot.LastWords = w.stuck, w.lastWords
	return shot
}

// addConn adds what a worker's connection knows.
func (s *Snapshot) addConn(w *WorkerSnapshot, conn Conn) {
	for _, c := range conn.InFlight() {
		call := CallSnapshot{Method: c.Method, Attempt: c.Attempt, Age: c.Age, Stuck: c.Stuck}
		if c.Left != nil {
			call.Left = c.Left.Error()
		}
		w.Running = append(w.Running, call)
	}
	if c, ok := conn.(counted); ok {
		stats := c.Stats()
		w.LateFrames, w.IgnoredFrames = stats.Late, stats.Ignored
		s.Counters.LateFrames += stats.Late
		s.Counters.IgnoredFrames += stats.Ignored
	}
}
