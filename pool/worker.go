package pool

import (
	"log/slog"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// worker is one incarnation of a slot: one process and the connection to it. There is a new value for each launch.
//
// Its life belongs to one goroutine, run, which alone touches what is in life. What the pool and its callers need to know stands here,
// guarded by the pool's mutex except where it says otherwise.
type worker struct {
	pool *Pool
	slot *slot
	gen  uint64
	wake chan struct{} // buffered: tells run that something below has changed

	release func() // freed, made once: it goes with every call

	pid   int       // set before the worker is ready
	conn  Conn      // likewise
	peer  *rpc.Peer // conn, if it is of our own dialect
	calls tally     // answered

	open      bool // in the crew: it gets calls while it has a free place
	inFlight  int
	places    int
	idleSince time.Duration // since it was last without a call
	launched  time.Duration
	readied   time.Duration
	hold      hold
	leases    []*Lease // whose places are taken
	leaseLost bool     // there were leases when it took no further calls
	gone      error    // how its process ended; nil: it has not
	crash     Crash    // what its crash means for the calls that it had

	command process.Command // that it runs
	version uint64          // of the command
	trial   bool            // it shows whether a reload works
	limits  limits
	belated bool           // its predecessor had to go before it came
	due     process.Killer // why it is to be replaced; empty: it is not

	prev, next *worker // in the ready set; nil: not listed
	shelf      int

	target    int            // the rung that it is to be on; -1: none
	why       process.Killer // the first reason to end it
	goodbye   bool           // it has said so
	lastWords string         // with the goodbye, or while it was loading
	leaving   bool           // it has refused a call, or cut it off, because it is about to say so
	stuck     bool           // it does not end a canceled call; which, its connection knows
	abort     bool           // its calls are to be failed with ErrClosed
	deadline  time.Duration  // for the start; 0: none
	bereaved  bool           // the exit hook is to be run
	died      bool           // it went away without our wish
	stage     stage

	retireTold, stopTold bool // as events

	life
}

// life is what only a worker's own goroutine touches.
type life struct {
	proc    *process.Process
	starts  chan startNews // from the goroutine that does the handshake and runs the start hook
	cancel  func(error)    // ends the start
	news    startNews      // the last that came
	lost    <-chan struct{}
	created bool   // the start has been reported as done
	failed  bool   // the start has been reported as failed
	mute    bool   // its output has ended
	stray   bool   // the slot has gone on without this worker
	aborted bool   // its calls were failed with ErrClosed
	failing error  // why it is killed, if it did something wrong: for the calls that this ends
	culprit string // the method of the call for whose sake it is stopped
	at      int    // the rung that it is on; -1: none
	gentle  bool   // it had been ready, and the ladder began with a rung that is no signal
	timer   *time.Timer
	alarm   alarm
	helpers sync.WaitGroup // goroutines for what may block: at most one a rung
}

// stage is what a worker's owner is doing, for the report of a Close that did not wait any longer.
type stage uint8

const (
	stageProcess  stage = iota // it looks after the process
	stageExitHook              // it runs the exit hook
	stageDrain                 // it waits for the end of the standard error
	stageRest                  // it waits for the start hook and the connection's goroutines
)

func (s stage) String() string {
	switch s {
	case stageProcess:
		return "its process has not exited"
	case stageExitHook:
		return "the exit hook has not returned"
	case stageDrain:
		return "its standard error is still held open"
	default:
		return "the start hook, or a call to the connection, has not returned"
	}
}

// launch makes the slot's next incarnation.
func (p *Pool) launch(s *slot, fx *effects) {
	w := &worker{
		pool:     p,
		slot:     s,
		gen:      s.machine.gen,
		wake:     make(chan struct{}, 1),
		launched: p.now(),
		target:   -1,
		command:  p.command,
		version:  p.version,
		limits:   p.drawLimits(),
		life:     life{at: -1},
	}
	w.release = w.freed
	s.worker = w
	p.owners = append(p.owners, w)
	p.wanted = false
	// Ends when the process has ended and both hooks have returned.
	fx.add(func() { go w.run() })
}

// admit makes a worker part of the crew. Callers that wait get its places.
func (p *Pool) admit(w *worker, fx *effects) {
	p.tellOf(w, Event{Kind: EventReady})
	p.places = w.places
	p.wanted, p.asleep = false, false
	p.ready.grow(w.places)
	p.restarts.created()
	w.open = !w.goodbye
	w.readied = p.now()
	if !w.open {
		w.poke()
		return
	}
	if p.queue.alone.first != nil {
		p.arrange(fx)
	}
	for waiting := p.next(w); waiting != nil; waiting = p.next(w) {
		fx.add(waiting.verdict().execute)
	}
	p.ready.put(w)
	if w.stuck {
		w.poke() // a call of the start hook's
	}
	w.idleSince = w.readied
	p.admitVersion(w, fx)
	p.census = p.count()
	if !w.belated {
		p.succeed(fx)
	}
	p.watchIdle()
	fx.add(func() { w.log().Info("worker is ready", slog.Int("inflight", w.places)) })
}

// withdraw takes a worker out of the crew: it gets no further calls.
func (p *Pool) withdraw(w *worker) {
	w.endLeases()
	if !w.open {
		return
	}
	w.open = false
	p.ready.remove(w)
	p.census = p.count()
	w.poke()
}

// end sets the rung of the ladder that the worker is to be on.
func (w *worker) end(rung int, why process.Killer) {
	w.target = rung
	w.blame(why)
	w.endLeases()
	w.poke()
}

// blame keeps the first reason for ending the worker.
func (w *worker) blame(why process.Killer) {
	if w.why == "" {
		w.why = why
	}
}

// poke tells the worker's goroutine that something has changed.
func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// firstRung is where the ladder begins for a worker: one that has never been ready, or has said goodbye, is not asked.
func (p *Pool) firstRung(s *slot) int {
	if s.machine.facts.connected && !s.worker.goodbye {
		return p.rungOf(process.Ask)
	}
	return p.rungOf(process.CloseStdin)
}

func (p *Pool) rungOf(step process.Step) int {
	for i, rung := range p.ladder {
		if rung.Step >= step {
			return i
		}
	}
	return len(p.ladder) - 1
}

// bootFailed takes note of a process that did not become ready.
func (p *Pool) bootFailed(w *worker, e event, fx *effects) {
	p.counters.BootFailures++
	p.tellOf(w, Event{Kind: EventStartFailed, Err: e.err})
	if w.trial {
		p.trialFailed(w, e.err, fx)
		return
	}
	if w.belated {
		p.owed++
	}
	p.delayed = p.restarts.bootFailed(p.now(), w.launched, e.err, e.fatal) || p.delayed
	fx.add(func() {
		w.log().Warn("worker did not start", slog.Any("err", e.err), slog.String("stderr", tailOf(e.err)))
	})
}

// died takes note of a worker that went away without our wish.
func (p *Pool) died(w *worker, e event, fx *effects) {
	p.countDeath(w, e.exit)
	healthy := w.calls.Load() > 0 || p.now()-w.readied >= provenAfter
	w.died = true
	p.delayed = p.restarts.died(p.now(), w.launched, healthy) || p.delayed
	fx.add(func() { w.log().Warn("worker died", slog.Any("err", e.exit), slog.String("stderr", tailOf(e.exit))) })
}

// retryLater has the plan looked at again when a delay that has begun is over.
func (p *Pool) retryLater(now time.Duration, fx *effects) {
	begun, wait := p.delayed, p.restarts.waits(now)
	p.delayed = false
	if !begun || wait == 0 || p.phase == phaseClosed {
		return
	}
	p.retry.Reset(wait)
	p.tellPool(Event{Kind: EventBackoff, Delay: wait, Attempt: p.restarts.delays})
	fx.add(func() { p.log.Warn("no worker is started for now", slog.Duration("delay", wait)) })
}

// proved takes note of a worker's first answer.
func (p *Pool) proved() {
	p.change(func(*effects) { p.restarts.proved() })
}

// log is the pool's logger, with the worker's name.
func (w *worker) log() *slog.Logger {
	return w.pool.log.With(slog.String("worker", w.name()), slog.Int("pid", w.pid), slog.Uint64("gen", w.gen))
}
