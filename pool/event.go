package pool

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// EventKind says what has happened.
type EventKind string

// The events of a worker, in the order of a life. Each comes at most once for each process.
const (
	// EventStarted: a process has been launched.
	EventStarted EventKind = "started"
	// EventReady: its handshake and the start hook are done; from now on it gets calls.
	EventReady EventKind = "ready"
	// EventStartFailed: it did not become ready, without our wish; Err says why. With a PID of 0 there is no process and nothing follows; otherwise the
	// process is stopped, if it has not exited.
	EventStartFailed EventKind = "start_failed"
	// EventRetiring: it gets no further calls, and is stopped when it has none left or RetireGrace is over. Reason says why.
	EventRetiring EventKind = "retiring"
	// EventStopping: its process is being ended, for Reason.
	EventStopping EventKind = "stopping"
	// EventExited: its process is gone. Exit tells all about that; Death is set if the worker had been ready and this is not what we wished for.
	EventExited EventKind = "exited"
)

// The events of a pool as a whole. Their Slot is -1.
const (
	// EventBackoff: after a failed start or a death no process is started for Delay. Attempt counts these delays since a worker last proved its health.
	EventBackoff EventKind = "backoff"
	// EventCrashLoop: no worker is ready because they cannot be started, for Err. Callers fail with it for Delay; then one process is tried.
	EventCrashLoop EventKind = "crash_loop"
	// EventProbing: that process is starting, and callers wait for it. If it fails EventCrashLoop comes again.
	EventProbing EventKind = "probing"
	// EventRecovered: the crash loop is over. A worker has become ready, or Stop has ended it.
	EventRecovered EventKind = "recovered"

	// EventPoolReloaded: the new command has been found to work. It is that of all processes to come, and those of before are replaced.
	EventPoolReloaded EventKind = "pool_reloaded"
	// EventPoolNotReloaded: it has not, for Err, and everything stays as it was.
	EventPoolNotReloaded EventKind = "pool_not_reloaded"
	// EventPoolResized: Min and Max are what the event says.
	EventPoolResized EventKind = "pool_resized"

	EventPoolStopping EventKind = "pool_stopping" // by Stop
	EventPoolStopped  EventKind = "pool_stopped"  // all processes are gone; the next call starts one
	EventPoolDraining EventKind = "pool_draining" // by Shutdown: calls that have come are served, no others are taken
	EventPoolClosing  EventKind = "pool_closing"  // by Close, or by Shutdown when it is done draining
	// EventPoolClosed: all processes are gone, or Close has stopped waiting for them. Err is what Close returns. Nothing comes after it.
	EventPoolClosed EventKind = "pool_closed"
)

// Event is something that has happened to a pool or one of its workers. It is a plain value, and fit for encoding/json: in JSON, Err is a text by the
// name of "error", Exit an object with its text, and what is zero is left out where that says nothing.
type Event struct {
	// Seq numbers the events of one pool in the order in which they happened, from 1. Those count that nobody had subscribed to.
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"` // in UTC
	Pool string    `json:"pool"`
	Kind EventKind `json:"kind"`

	Slot       int    `json:"slot"`                 // the worker's; -1: the event is about the pool
	Generation uint64 `json:"generation,omitempty"` // counts the processes of the slot
	PID        int    `json:"pid,omitempty"`        // 0: about the pool, or there is no process

	// Reason is why we retire or stop the worker, or did so before it exited; empty with EventExited: it went without us.
	Reason process.Killer `json:"reason,omitempty"`
	Exit   Exit           `json:"-"`               // with EventExited; its StderrTail may lack the last lines: ExitHook gets them all
	Death  bool           `json:"death,omitempty"` // with EventExited: the worker had been ready and went away without our wish
	Err    error          `json:"-"`               // with EventStartFailed, EventCrashLoop, EventPoolNotReloaded and EventPoolClosed

	Delay   time.Duration `json:"delay_ns,omitempty"` // with EventBackoff and EventCrashLoop: from Time until a process may be started
	Attempt int           `json:"attempt,omitempty"`  // with EventBackoff: 1 for the first delay

	Min int `json:"min,omitempty"` // with EventPoolResized
	Max int `json:"max,omitempty"` // likewise

	// Dropped is how many events of this pool the subscriber has missed right before this one, because it was too slow for its buffer.
	Dropped uint64 `json:"dropped,omitempty"`
}

// String says what happened in one line: "images/3 (pid 812) stopping (idle)", "images backoff: 2s".
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(e.Pool)
	if e.Slot >= 0 {
		b.Reset()
		b.WriteString(workerName(e.Pool, e.Slot))
	}
	if e.PID != 0 {
		fmt.Fprintf(&b, " (pid %d)", e.PID)
	}
	b.WriteString(" " + string(e.Kind))
	switch {
	case e.Exit.Report.PID != 0:
		fmt.Fprintf(&b, ": %v", e.Exit)
	case e.Reason != "":
		fmt.Fprintf(&b, " (%s)", e.Reason)
	}
	if e.Kind == EventPoolResized {
		fmt.Fprintf(&b, ": %d to %d", e.Min, e.Max)
	}
	if e.Delay > 0 {
		fmt.Fprintf(&b, ": %v", e.Delay.Round(time.Millisecond))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %s", withTail(e.Err))
	}
	if e.Dropped > 0 {
		fmt.Fprintf(&b, "; %d events before it were dropped", e.Dropped)
	}
	return b.String()
}

// exitJSON is an Exit as events show it.
type exitJSON struct {
	Text   string        `json:"text"`
	Code   int           `json:"code"` // -1: ended by a signal
	Signal int           `json:"signal,omitempty"`
	Uptime time.Duration `json:"uptime_ns"`
	Calls  uint64        `json:"calls"` // that it had answered
	Stderr string        `json:"stderr,omitempty"`
}

// MarshalJSON returns the event as JSON.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	shown := struct {
		plain
		Exit  *exitJSON `json:"exit,omitempty"`
		Error string    `json:"error,omitempty"`
	}{plain: plain(e)}
	if r := e.Exit.Report; r.PID != 0 {
		shown.Exit = &exitJSON{e.Exit.Error(), r.Code, int(r.Signal), r.Uptime, e.Exit.Calls, tailOf(e.Exit)}
	}
	if e.Err != nil {
		shown.Error = withTail(e.Err)
	}
	return json.Marshal(shown)
}

// tell hands an event to all who have subscribed, in its place among the others; locked. It waits for nobody.
func (p *Pool) tell(e Event) {
	p.seq++
	if len(p.subscribers) == 0 {
		return
	}
	told := new(Event)
	*told = e
	told.Seq, told.Pool, told.Time = p.seq, p.opts.Name, p.timeOf(p.now())
	for _, s := range p.subscribers {
		s.to.push(item{from: s.as, event: told})
	}
}

// tellPool tells of an event that is about the pool as a whole; locked.
func (p *Pool) tellPool(e Event) {
	e.Slot = -1
	p.tell(e)
}

// tellOf tells of an event that is about a worker; locked.
func (p *Pool) tellOf(w *worker, e Event) {
	e.Slot, e.Generation, e.PID = w.slot.index, w.gen, w.pid
	p.tell(e)
}

// tellState tells what a change of its slot's state means for a worker; locked.
func (p *Pool) tellState(w *worker, e event, after State) {
	switch after {
	case StateStopped:
		if e.kind == evTerminated {
			p.tellOf(w, Event{Kind: EventExited, Reason: e.exit.Report.Killer, Exit: e.exit, Death: w.died})
		}
	case StateStopping, StateWaitingReady:
		if w.pid == 0 || w.stopTold { // what is not there yet cannot be stopped: another change comes when it is
			return
		}
		w.stopTold = true
		reason := w.why
		if reason == "" {
			reason = e.why // on its way to the worker
		}
		p.tellOf(w, Event{Kind: EventStopping, Reason: reason})
	}
}

// tellRetiring tells, once, that a worker gets no further calls and keeps those that it has; locked.
func (p *Pool) tellRetiring(w *worker) {
	if !w.retireTold {
		w.retireTold = true
		p.tellOf(w, Event{Kind: EventRetiring, Reason: w.why})
	}
}
