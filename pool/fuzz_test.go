package pool

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// eventOf makes an event of one byte: its kind, whether the worker was at fault, and for a quarter of them an old or future generation.
func eventOf(b byte, gen uint64) event {
	switch b >> 5 {
	case 6:
		gen--
	case 7:
		gen++
	}
	return event{kind: eventKind(b & 0x0f), gen: gen, unwanted: b&0x10 != 0}
}

// slotWorld is what must be true of a slot, told by events and actions alone: it never looks into the machine's facts.
type slotWorld struct {
	t       *testing.T
	m       machine
	trace   []string
	process bool // one has been launched and is not gone

	// Of the present process.
	created, asked, admitted, retired bool
	ended                             map[action]int // actions that one incarnation may cause only once
}

// FuzzMachine plays bytes as events against the machine of a slot.
func FuzzMachine(f *testing.F) {
	const get, stop, created, startFailed, launchFailed, terminated, retire, drained, kill, rungOver, fault, old, future = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
		0x10, 6 << 5, 7 << 5
	for _, life := range [][]byte{
		{get, created, stop, terminated}, {get, stop, created, rungOver, terminated}, {get, startFailed, rungOver, terminated, get},
		{get, launchFailed, get, launchFailed},
		{get, created, retire, drained, rungOver, terminated, stop, get}, {get, created, kill | fault, terminated, get},
		{get, retire, created, terminated, get, created}, {get, created, retire | fault, terminated, terminated | old, created | future},
		{get, kill, created, startFailed, terminated, get | old, get}, {get, stop, launchFailed, stop, get, created, created, drained, 15},
	} {
		f.Add(life)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		w := &slotWorld{t: t, ended: make(map[action]int)}
		for _, op := range ops {
			e := eventOf(op, w.m.gen)
			w.trace = append(w.trace, fmt.Sprintf("%v(%d)", e.kind, e.gen))
			w.step(e)
		}
		w.end()
	})
}

func (w *slotWorld) require(holds bool, what string) {
	if !holds {
		w.t.Helper()
		require.Fail(w.t, what, "after %s in state %v", strings.Join(w.trace, " "), w.m.state)
	}
}

// step takes one event and checks what came of it.
func (w *slotWorld) step(e event) {
	before := w.m
	do := w.m.step(e)
	has := func(a action) bool { return slices.Contains(do, a) }

	w.require(w.m.state < numStates, "an unknown state")
	w.require(!has(actInternal) && !has(actLate) || w.m == before, "a refused event changed something")
	if e.gen != before.gen {
		w.require(slices.Equal(do, []action{actLate, actReap}), "a stale event is late, and its process goes")
		return
	}
	w.require(has(actLaunch) == (w.m.gen != before.gen), "a generation is a launch")
	if has(actLaunch) {
		w.require(e.kind == evGet && !w.process && w.m == machine{state: StateStarting, gen: before.gen + 1}, "one process at a time, which begins afresh")
		*w = slotWorld{t: w.t, m: w.m, trace: w.trace, process: true, ended: make(map[action]int)}
	}
	if has(actInternal) || has(actLate) {
		return
	}
	w.learn(e)
	for _, a := range do {
		w.check(a, before.state)
	}
	if w.process && w.m.state == StateStopped {
		w.gone(e, before.state, has)
	}
	w.require(w.process == (w.m.state != StateStopped), "stopped means without a process")
	w.require(w.admitted == (w.m.state == StateReady && !w.retired), "ready for calls means ready, and not retiring")
}

// learn takes note of an event that was accepted.
func (w *slotWorld) learn(e event) {
	switch e.kind {
	case evCreated:
		w.require(!w.created, "created twice")
		w.created = true
	case evStop:
		w.asked = w.asked || w.process
	case evRetire:
		w.retired = true
	}
}

// check checks one action, in the order in which they are asked for.
func (w *slotWorld) check(a action, before State) {
	w.ended[a]++
	switch a {
	case actAdmit:
		w.require(w.created && !w.asked && w.ended[a] == 1, "admitted once, when created and not to be stopped")
		w.admitted = true
	case actWithdraw:
		w.admitted = false
	case actLadder, actLadderKill:
		w.require(w.process && w.ended[actLadder]+w.ended[actLadderKill] == 1, "one ladder for a process")
		w.require(w.m.state == StateStopping && !w.admitted, "nobody is given a worker that is on the ladder")
	case actNextRung:
		w.require(w.process && (before == StateStopping || before == StateWaitingReady), "a rung without a ladder")
	case actBootFailed:
		w.require(!w.created && w.ended[a] == 1, "a boot failure is one, and comes before the connection")
	case actDied:
		w.require(w.created && w.ended[a] == 1, "a death is one, of what was ready")
	case actFailCalls:
		w.require(!w.admitted && w.ended[a] == 1, "calls fail once, when no others can come")
	case actExitHook:
		w.require(w.created && !w.asked && w.ended[a] == 1, "the exit hook runs once, for a connection that was lost without the user's wish")
	case actResolveStop:
		w.require(w.m.state == StateStopped, "a stop is done when the process is gone")
	}
}

// gone checks the end of an incarnation.
func (w *slotWorld) gone(e event, before State, has func(action) bool) {
	w.process = false
	w.require(e.kind == evTerminated || e.kind == evLaunchFailed && !w.created, "a process that exists is gone")
	w.require(!w.asked || has(actResolveStop), "who asked for the stop waits for ever")
	w.require(!w.created || has(actFailCalls), "calls in flight wait for ever")
	w.require(!w.created || w.asked || has(actExitHook), "the exit hook was forgotten")
	w.require(w.created || w.asked || w.ended[actBootFailed] == 1 || w.retired || before == StateStopping, "nobody hears of a failed boot")
	w.require(w.ended[actDied]+w.ended[actBootFailed] <= 1, "a failed boot is no death")
	w.require(w.m.facts == facts{}, "facts outlive their incarnation")
}

// end checks that the slot is never lost: whatever came, once the process is gone the next one can be launched.
func (w *slotWorld) end() {
	for _, kind := range []eventKind{evTerminated, evGet} {
		w.trace = append(w.trace, kind.String())
		w.step(event{kind: kind, gen: w.m.gen})
	}
	w.require(w.m.state == StateStarting && w.process, "the slot is lost")
}
