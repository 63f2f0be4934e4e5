package pool

import (
	"fmt"
	"sync/atomic"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// Counters count what has happened to a pool since it was made. Every call that has returned, and every Acquire that has failed, is counted
// once: in Succeeded or in Failures.
type Counters struct {
	Succeeded uint64             `json:"succeeded"` // calls, those of leases too
	Failures  map[Failure]uint64 `json:"failures"`  // calls, and Acquires, by class and delivery; without those that are 0

	Started      uint64            `json:"started"`       // processes
	BootFailures uint64            `json:"boot_failures"` // processes that did not become ready without our wish, launches that failed among them
	Deaths       uint64            `json:"deaths"`        // workers that went away after they had been ready, without our wish; Crashes and Goodbyes are among them
	Crashes      uint64            `json:"crashes"`       // deaths without us: they exited, or somebody else killed them
	Goodbyes     uint64            `json:"goodbyes"`      // deaths of workers that had said goodbye without having been asked, whatever came of them then
	IdleStops    uint64            `json:"idle_stops"`    // workers stopped because they had been idle
	Ends         map[string]uint64 `json:"ends"`          // processes that are gone, by why we ended them: a process.Killer, or Unaided

	LateFrames    uint64 `json:"late_frames"`    // answers from workers that nobody waited for any more
	IgnoredFrames uint64 `json:"ignored_frames"` // messages from workers that nobody had asked for

	LateEvents     uint64 `json:"late_events"`     // events that came too late to matter
	InternalErrors uint64 `json:"internal_errors"` // events that cannot happen: each is a bug in this package or in the dialect
}

// Unaided is the key in Counters.Ends of the processes that ended without us: they exited, or somebody else killed them.
const Unaided = "unaided"

// Failure is a way in which a call can fail. As text, it is class and delivery, as in "interrupted: may have been executed".
type Failure struct {
	Class    Class
	Delivery rpc.Delivery
}

func (f Failure) String() string { return fmt.Sprintf("%v: %v", f.Class, f.Delivery) }

// MarshalText returns the text, which is what encoding/json makes a key of.
func (f Failure) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// tallies are the counters that calls touch, outside of the pool's mutex. A call that succeeds touches none of them: its worker counts it.
type tallies struct {
	failures [ClassInterrupted + 1][rpc.Answered + 1]atomic.Uint64

	answers      atomic.Uint64 // of workers that are gone
	unsuccessful atomic.Uint64 // answers that were errors, or did not fit

	late, ignored atomic.Uint64 // frames of workers that are gone
}

func (t *tallies) failed(c Class, d rpc.Delivery) { t.failures[c][d].Add(1) }

func (t *tallies) byFailure() map[Failure]uint64 {
	counts := map[Failure]uint64{}
	for c := range t.failures {
		for d := range t.failures[c] {
			if n := t.failures[c][d].Load(); n > 0 {
				counts[Failure{Class(c), rpc.Delivery(d)}] = n
			}
		}
	}
	return counts
}

// tally counts one worker's answers until it is closed, which hands the count to the pool. A caller that learns of its answer only after that
// counts with the pool. It is atomic.
type tally struct{ n atomic.Uint64 }

// tallyClosed is a bit of a tally that no count reaches.
const tallyClosed = 1 << 63

// Load returns the count, also of a tally that is closed.
func (t *tally) Load() uint64 { return t.n.Load() &^ tallyClosed }

func (t *tally) add() (n uint64, closed bool) {
	n = t.n.Add(1)
	return n &^ tallyClosed, n&tallyClosed != 0
}

func (t *tally) close() uint64 { return t.n.Or(tallyClosed) }

// countAnswer counts a call that its worker has ended. The answers are counted before those of them that were no success: their difference
// is never negative.
func (p *Pool) countAnswer(w *worker, err error) {
	n, closed := w.calls.add()
	if closed {
		p.tallies.answers.Add(1)
	}
	if err != nil {
		p.tallies.unsuccessful.Add(1)
	}
	if n == 1 {
		p.proved()
	}
	if n == w.limits.calls {
		p.becameDue(w, "MaxCalls")
	}
}

// countDeath counts a worker that went away without our wish. What is neither goodbye nor crash we have ended for what it did: Ends says for what.
func (p *Pool) countDeath(w *worker, exit Exit) {
	p.counters.Deaths++
	switch {
	case (w.goodbye || w.leaving) && (w.why == "" || w.why == killerGoodbye):
		p.counters.Goodbyes++
	case exit.Report.Killer == "":
		p.counters.Crashes++
	}
}

// counted is a connection that counts frames, as *rpc.Peer does.
type counted interface{ Stats() rpc.Stats }

// gone takes note that a slot has lost its process, if there was one; locked.
func (p *Pool) gone(w *worker, e event, fx *effects) {
	p.tallies.answers.Add(w.calls.close())
	if w.trial {
		p.trialFailed(w, e.err, fx) // said goodbye before it got a call
	}
	if e.kind != evTerminated {
		return
	}
	p.ends[e.exit.Report.Killer]++
	w.gone = e.exit
	w.endLeases()
	if c, ok := w.conn.(counted); ok {
		fx.add(func() { p.tallies.addFrames(c.Stats()) })
	}
}

func (t *tallies) addFrames(s rpc.Stats) {
	t.late.Add(s.Late)
	t.ignored.Add(s.Ignored)
}

// countersNow returns the counters, without the frames of workers that are not gone; locked.
func (p *Pool) countersNow() Counters {
	c := p.counters
	unsuccessful := p.tallies.unsuccessful.Load()
	c.Succeeded = p.tallies.answers.Load()
	for _, s := range p.slots {
		if s.worker != nil {
			c.Succeeded += s.worker.calls.Load()
		}
	}
	c.Succeeded -= unsuccessful
	c.Failures = p.tallies.byFailure()
	c.Ends = endsByName(p.ends)
	c.LateFrames, c.IgnoredFrames = p.tallies.late.Load(), p.tallies.ignored.Load()
	return c
}

func endsByName(ends map[process.Killer]uint64) map[string]uint64 {
	named := make(map[string]uint64, len(ends))
	for killer, n := range ends {
		if killer == "" {
			killer = Unaided
		}
		named[string(killer)] = n
	}
	return named
}
