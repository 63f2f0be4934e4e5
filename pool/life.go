package pool

import (
	"errors"
	"fmt"
	"io"
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
	alarmKilled       // patience after KILL
	alarmLimit        // MaxAge, or a look at its memory
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

// setAlarm has the timer run for one purpose, in place of the one before. It never fires at once: in a synctest bubble, selects on the
// channels of several timers that are due can crash the race detector (Go 1.26).
func (w *worker) setAlarm(a alarm, d time.Duration) {
	w.alarm = a
	w.timer.Reset(max(d, time.Nanosecond))
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

// onStart takes news of the start. What comes when the start has been given up, or the worker, is only kept.
func (w *worker) onStart(n startNews) {
	w.take(n)
	switch {
	case !n.last, w.failed, w.at >= 0:
	case n.err == nil && w.mute:
		// The alarm for its end is running.
	case n.err == nil:
		w.created = true
		w.clearAlarm()
		w.post(event{kind: evCreated, why: process.KillerAsked})
		w.watchLimits()
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
	w.peer, _ = n.conn.(*rpc.Peer)
	w.pool.mu.Unlock()
}

// failStart reports the start as failed. The ladder follows.
func (w *worker) failStart(err error) {
	w.failed = true
	w.cancel(err)
	w.clearAlarm()
	w.post(event{kind: evStartFailed, why: process.KillerStart, err: w.bootError(err, nil), fatal: startFatal(err)})
}

// starting says that the start is neither done nor reported as failed.
func (w *worker) starting() bool { return !w.created && !w.failed }

// onLost takes note of the end of the worker's output. Nonsense ends the worker at once; after a plain end it has some time to exit.
func (w *worker) onLost() {
	w.lost, w.mute = nil, true
	w.pool.change(func(*effects) { w.pool.withdraw(w) })
	var nonsense *rpc.ProtocolError
	switch err := w.conn.Err(); {
	case errors.As(err, &nonsense):
		w.giveUp(err, process.KillerViolation, process.Kill)
	case errors.Is(err, rpc.ErrWriteStall), errors.Is(err, rpc.ErrFrameStall), errors.Is(err, rpc.ErrHang):
		w.giveUp(err, process.KillerHang, process.Kill)
	case w.at < 0:
		w.setAlarm(alarmLost, patience)
	}
}

// giveUp ends a worker that is of no further use. The slot learns of it before its callers do. Where the process is killed at once they wait for its
// end, which tells which of their calls it has never read.
func (w *worker) giveUp(err error, why process.Killer, from process.Step) {
	w.failing = err
	w.noteCrash(why)
	if w.starting() && w.at < 0 {
		w.failStart(err)
	} else {
		w.post(event{kind: evKill, unwanted: true, why: why, from: from})
	}
	if rung := max(w.orders().target, w.at); w.pool.ladder[rung].Step < process.Kill {
		w.conn.Abort(&tailedError{err: err, tail: w.proc.StderrTail()})
	}
	w.log().Warn("worker is given up", slog.Any("err", err))
}

// lostCause is what the calls of a worker fail with that has lost its connection and not exited.
func (w *worker) lostCause() error {
	if err := w.conn.Err(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("connection lost, still running: %w", err)
	}
	return errStillRunning
}

// killerMute is the reason for ending a worker that closed its output and runs on.
const killerMute process.Killer = "closed its stdout"

// onAlarm: the timer has fired.
func (w *worker) onAlarm() {
	was := w.alarm
	w.alarm = alarmNone
	switch was {
	case alarmStart:
		w.failStart(w.overdue())
	case alarmDoomed, alarmLost:
		w.lostPatience(was)
	case alarmRetire:
		w.post(event{kind: evDrained})
	case alarmRung:
		w.nextRung()
	case alarmKilled:
		w.immortal()
	case alarmLimit:
		w.watchLimits()
	case alarmNone:
	}
}

// lostPatience: the exit has not followed the end of the output, or a failed handshake, in time. If the process is dead it is only this program that has
// had no time to notice: then the exit comes at once, with all that it tells.
func (w *worker) lostPatience(was alarm) {
	switch {
	case w.proc.Dead():
	case was == alarmDoomed:
		w.failStart(w.news.err)
	default:
		w.giveUp(w.lostCause(), killerMute, process.CloseStdin)
	}
}

// orders is what the pool wants of a worker.
type orders struct {
	target            int
	goodbye, retiring bool
	ready, stuck, due bool
	leaving           bool
	inFlight          int
	abort             bool
	lastWords         string
}

func (w *worker) orders() orders {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	m := w.slot.machine
	mine := m.gen == w.gen
	return orders{
		target:    w.target,
		goodbye:   w.goodbye,
		retiring:  mine && m.facts.retiring,
		ready:     mine && m.state == StateReady,
		stuck:     w.stuck,
		due:       w.due != "",
		leaving:   w.leaving,
		inFlight:  w.inFlight,
		abort:     w.abort,
		lastWords: w.lastWords,
	}
}

// onWake does what the pool wants.
func (w *worker) onWake() {
	o := w.orders()
	if o.abort && !w.aborted && w.conn != nil {
		w.failCalls()
	}
	if o.stuck && o.ready {
		w.onStuck()
		o = w.orders()
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
	case (o.goodbye || o.leaving) && o.ready && !o.retiring:
		w.log().Info("worker takes no further calls", slog.String("reason", o.lastWords))
		w.post(event{kind: evRetire, unwanted: true, why: killerGoodbye})
	case o.retiring && o.inFlight == 0:
		w.post(event{kind: evDrained})
	case o.retiring && (w.alarm == alarmNone || w.alarm == alarmLimit):
		w.setAlarm(alarmRetire, w.pool.opts.RetireGrace)
	case w.alarm == alarmStart:
		w.watchStart()
	}
}

// killerGoodbye is the reason for ending a worker that said goodbye.
const killerGoodbye process.Killer = "said goodbye"
