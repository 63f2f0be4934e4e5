package pool

import (
	"errors"
	"log/slog"
	"time"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// alarm is what a worker's one timer runs for.
type alarm uint8

const (
	alarmNone   alarm = iota
	alarmStart        // StartTimeout
	alarmDoomed       // patience after a failed handshake: the exit may say why
	alarmLost         // patience after the end of its output
	alarmRetire       // RetireGrace
	alarmRung         // the rung's grace
)

// run is a worker's life, from the launch of its process until that has been reaped and all that belonged to it has ended.
func (w *worker) run() {
	defer w.pool.ownerEnded(w)
	if err := w.launchProcess(); err != nil {
		w.post(event{kind: evLaunchFailed, err: w.bootError(err, nil), fatal: launchFatal(err)})
		return
	}
	w.beginStart()
	w.supervise()
	w.bury()
}

// supervise reacts to whatever happens to the worker until its process has exited.
func (w *worker) supervise() {
	for {
		select {
		case <-w.proc.Exited():
			return
		case n := <-w.starts:
			w.onStart(n)
		case <-w.lost:
			w.onLost()
		case <-w.timer.C:
			w.onAlarm()
		case <-w.wake:
			w.onWake()
		}
	}
}

// post hands an event to the slot. If the slot has gone on without this worker, the process is ended all the same.
func (w *worker) post(e event) {
	if stray := w.pool.post(w, e); stray && !w.stray && w.proc != nil {
		w.stray = true
		w.climb(w.pool.rungOf(process.Kill))
	}
}

func (w *worker) setAlarm(a alarm, d time.Duration) {
	w.alarm = a
	w.timer.Reset(max(d, 0))
}

func (w *worker) clearAlarm() {
	w.alarm = alarmNone
	w.timer.Stop()
}

// watchStart sets the alarm for the start's deadline, which the worker may have moved.
func (w *worker) watchStart() {
	w.pool.mu.Lock()
	deadline := w.deadline
	w.pool.mu.Unlock()
	if deadline > 0 {
		w.setAlarm(alarmStart, deadline-w.pool.now())
	}
}

// onStart takes news of the start.
func (w *worker) onStart(n startNews) {
	w.take(n)
	switch {
	case !n.last, w.failed, w.at >= 0:
	case n.err == nil:
		w.clearUnless(alarmRung)
		w.post(w.startEvent(n))
	case n.conn == nil && !startFatal(n.err):
		w.setAlarm(alarmDoomed, patience)
	default:
		w.failStart(n.err)
	}
}

// take keeps what has come of the start.
func (w *worker) take(n startNews) {
	w.news = n
	if n.last {
		w.starts = nil
	}
	if n.conn == nil || w.conn != nil {
		return
	}
	places := min(max(n.conn.Capacity(), 1), maxInFlight)
	w.lost = n.conn.Done()
	w.pool.mu.Lock()
	w.conn, w.places = n.conn, places
	w.pool.mu.Unlock()
}

func (w *worker) clearUnless(a alarm) {
	if w.alarm != a {
		w.clearAlarm()
	}
}

// failStart reports the start as failed, once.
func (w *worker) failStart(err error) {
	if w.failed {
		return
	}
	w.failed = true
	w.cancel(err)
	w.clearUnless(alarmRung)
	w.post(w.startEvent(startNews{err: err}))
}

// starting says that the start is neither done nor reported as failed.
func (w *worker) starting() bool { return !w.failed && (w.starts != nil || w.news.err != nil) }

// onLost takes note of the end of the worker's output. Nonsense ends the worker at once; after a plain end it has some time to exit.
func (w *worker) onLost() {
	w.lost = nil
	w.pool.change(func(*effects) { w.pool.withdraw(w) })
	var nonsense *rpc.ProtocolError
	if err := w.conn.Err(); errors.As(err, &nonsense) {
		w.giveUp(err, process.KillerViolation, process.Kill)
		return
	}
	if w.at < 0 {
		w.setAlarm(alarmLost, patience)
	}
}

// giveUp ends a worker that is of no further use. The slot learns of it before its callers do.
func (w *worker) giveUp(err error, why process.Killer, from process.Step) {
	if w.starting() {
		w.failStart(err)
	} else {
		w.post(event{kind: evKill, unwanted: true, why: why, from: from})
	}
	w.conn.Abort(err)
	w.log().Warn("worker is given up", slog.Any("err", err))
}

// killerMute is the reason for ending a worker that closed its output and runs on.
const killerMute process.Killer = "closed its stdout"

// onAlarm: the timer has fired.
func (w *worker) onAlarm() {
	was := w.alarm
	w.alarm = alarmNone
	switch was {
	case alarmStart:
		w.failStart(errStartTimeout)
	case alarmDoomed:
		w.failStart(w.news.err)
	case alarmLost:
		w.giveUp(errStillRunning, killerMute, process.CloseStdin)
	case alarmRetire:
		w.post(event{kind: evDrained})
	case alarmRung:
		w.nextRung()
	case alarmNone:
	}
}

// orders is what the pool wants of a worker.
type orders struct {
	target            int
	goodbye, retiring bool
	ready, drained    bool
	abort             bool
}

func (w *worker) orders() orders {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	m := w.slot.machine
	mine := m.gen == w.gen
	return orders{
		target:   w.target,
		goodbye:  w.goodbye,
		retiring: mine && m.facts.retiring,
		ready:    mine && m.state == StateReady,
		drained:  w.inFlight == 0,
		abort:    w.abort,
	}
}

// onWake does what the pool wants.
func (w *worker) onWake() {
	o := w.orders()
	if o.abort && !w.aborted && w.conn != nil {
		w.failCalls()
	}
	switch {
	case o.target > w.at:
		w.climb(o.target)
	case w.at >= 0:
		if o.goodbye && w.pool.ladder[w.at].Step == process.Ask {
			w.nextRung()
		}
	case o.goodbye && w.starting():
		w.failStart(errEarlyGoodbye)
	case o.goodbye && o.ready && !o.retiring:
		w.post(event{kind: evRetire, unwanted: true, why: killerGoodbye})
	case o.retiring && o.drained:
		w.post(event{kind: evDrained})
	case o.retiring && w.alarm == alarmNone:
		w.setAlarm(alarmRetire, w.pool.opts.RetireGrace)
	case w.alarm == alarmStart:
		w.watchStart()
	}
}

// killerGoodbye is the reason for ending a worker that said goodbye.
const killerGoodbye process.Killer = "said goodbye"
