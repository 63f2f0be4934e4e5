package pool

import (
	"log/slog"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// A worker that is over one of its limits, or runs what a reload has replaced, is due. It goes on serving. The plan starts a successor, and when
// that is ready, one of those that are due retires. So the crew never shrinks for it, no call pays for a start, and no call is cut short.

// limits is when a worker is due. Zero: never.
type limits struct {
	calls uint64
	age   time.Duration
	rss   int64
}

// rssPeriod is how often a worker's memory is looked at.
const rssPeriod = time.Second

// drawLimits draws a worker's limits, each with its own jitter: P25.
func (p *Pool) drawLimits() limits {
	o := p.opts
	return limits{
		calls: uint64(p.vary(int64(o.MaxCalls))),
		age:   time.Duration(p.vary(int64(o.MaxAge))),
		rss:   p.vary(o.MaxRSS),
	}
}

func (p *Pool) vary(limit int64) int64 {
	if limit <= 0 {
		return 0
	}
	return max(1, limit+int64(float64(limit)*jitter*(2*p.opts.random()-1)))
}

// watchLimits sees whether the worker is over one of its limits, and comes again when it may be.
func (w *worker) watchLimits() {
	o := w.orders()
	if !o.ready || o.retiring || o.due {
		return
	}
	next := time.Duration(0)
	if w.limits.age > 0 {
		next = w.limits.age - (w.pool.now() - w.launched)
		if next <= 0 {
			w.pool.becameDue(w, "MaxAge")
			return
		}
	}
	if w.limits.rss > 0 {
		if rss, err := w.proc.RSS(); err == nil && rss > w.limits.rss {
			w.pool.becameDue(w, "MaxRSS")
			return
		}
		if next == 0 || next > rssPeriod {
			next = rssPeriod
		}
	}
	if next > 0 {
		w.setAlarm(alarmLimit, next)
	}
}

// becameDue takes note of a worker that is over one of its limits.
func (p *Pool) becameDue(w *worker, limit string) {
	p.change(func(fx *effects) {
		if p.markDue(w, process.KillerRecycle) {
			fx.add(func() { w.log().Info("worker is to be replaced", slog.String("reason", limit)) })
		}
	})
}

// markDue tells whether that is news. That a worker runs what has been replaced is, of two reasons, the one that is kept.
func (p *Pool) markDue(w *worker, why process.Killer) bool {
	if !w.open || w.due != "" && why != process.KillerReload {
		return false
	}
	w.due = why
	p.census = p.count()
	return true
}

// succeed has a worker that is due retire, for one that has just become ready.
func (p *Pool) succeed(fx *effects) {
	if w := p.outgoing(); w != nil {
		p.retire(w, w.due, fx)
	}
}

// dismiss has workers that are due retire without a successor, where nobody has ever needed them.
func (p *Pool) dismiss(fx *effects) {
	for p.census.ready > p.min {
		w := p.outgoing()
		if w == nil || w.due != process.KillerRecycle || w.inFlight > 0 || w.calls.Load() > 0 {
			return
		}
		p.retire(w, w.due, fx)
	}
}

// owe takes note that a worker comes for one that had to go before. If it does not become ready, another is owed.
func (p *Pool) owe(w *worker) {
	if p.owed > 0 {
		p.owed--
		w.belated = true
	}
}

// yield has one of the workers that are due retire for whose successor there is no room. What is owed is forgotten where the crew is full without it:
// by a reload's worker, or because Resize has made it smaller.
func (p *Pool) yield(fx *effects) {
	p.owed = min(p.owed, max(0, p.max-p.census.ready-p.census.starting))
	if p.demand().yields() {
		p.owed++
		w := p.outgoing()
		p.retire(w, w.due, fx)
	}
}

// outgoing is the worker to retire next of those that are due: the one with the fewest calls in flight, of these the oldest. Nil: none is due.
func (p *Pool) outgoing() *worker {
	if p.census.due == 0 {
		return nil
	}
	var first *worker
	for _, s := range p.slots {
		w := s.worker
		if w == nil || !w.open || w.due == "" {
			continue
		}
		if first == nil || w.inFlight < first.inFlight || w.inFlight == first.inFlight && w.launched < first.launched {
			first = w
		}
	}
	return first
}

// retire has a worker finish its calls, or its start, and go. Its owner does that.
func (p *Pool) retire(w *worker, why process.Killer, fx *effects) {
	w.blame(why)
	p.apply(w.slot, event{kind: evRetire, gen: w.gen, why: why}, fx)
}
