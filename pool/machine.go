package pool

import (
	"fmt"

	"github.com/stdcrew/stdcrew/process"
)

// machine is the state of one slot. It is pure: no clock, no I/O, no goroutine, no logger. What it knows beside the state belongs to
// one incarnation, so that nothing of a process that is gone reaches the next.
//
// The zero value is a slot that has never had a process.
type machine struct {
	state State
	gen   uint64 // of the present process or, while stopped, of the last one; 0: none yet
	facts facts
}

// facts is what has been learned about one incarnation.
type facts struct {
	asked     bool // the user asked for its stop
	connected bool // it has been created: a connection was established
	retiring  bool // it is ready and gets no further calls
	unwanted  bool // its end is its own doing: it said goodbye, broke the protocol, closed its stdout
}

// eventKind is what can happen to a slot.
type eventKind uint8

const (
	evGet          eventKind = iota // a caller wants the connection, or the pool needs a worker
	evStop                          // the user asked for the pool's stop
	evCreated                       // handshake and start hook are done
	evStartFailed                   // they failed; the process exists
	evLaunchFailed                  // there is no process
	evTerminated                    // the process has exited and is reaped
	evRetire                        // no further calls for this process, please
	evDrained                       // a retiring worker has no calls left, or its time is over
	evKill                          // the process must go at once
	evRungOver                      // the ladder's present rung has had its time

	numEvents
)

func (k eventKind) String() string {
	names := [numEvents]string{
		"get", "stop", "created", "start failed", "launch failed", "terminated", "retire", "drained", "kill", "rung over",
	}
	if k >= numEvents {
		return fmt.Sprintf("event %d", uint8(k))
	}
	return names[k]
}

// event is something that happened to the process of one generation. The machine itself looks at the first three fields; the others are
// for whoever carries out the actions.
type event struct {
	kind     eventKind
	gen      uint64
	unwanted bool // with retire and kill: the worker's own doing, not our wish

	why   process.Killer // with what ends a process: the reason for its report
	from  process.Step   // with kill: where on the ladder to begin
	err   error          // with start failed, launch failed, terminated: what happened
	fatal bool           // with these: trying again is of no use
	exit  Exit           // with terminated
}

// action is what the machine asks of its pool, or tells it about an event.
type action uint8

const (
	actLaunch      action = iota // start a process, of the generation that the machine now has
	actAnswer                    // the caller gets a place on the worker
	actQueue                     // the caller waits
	actRefuse                    // the caller is refused, transiently, if the stop is the pool's
	actAdmit                     // the worker joins the ready set; waiters get its places, first come first served
	actFailWaiters               // waiters fail, if the stop is the pool's
	actWithdraw                  // the worker leaves the ready set
	actLadder                    // end the process, from the ladder's first rung
	actLadderKill                // end the process, from KILL or what the reason asks for
	actNextRung                  // go on to the ladder's next rung
	actBootFailed                // count a boot failure; waiters as the back-off says
	actDied                      // the worker went away without our wish: the back-off decides when it is replaced
	actFailCalls                 // calls in flight fail
	actExitHook                  // run the exit hook
	actResolveStop               // whoever waits for the stop goes on
	actReap                      // the process is nobody's: stop and reap it
	actLate                      // the event came too late to matter: count it
	actInternal                  // the event cannot happen here: count and log it, it is a bug
)

func (a action) String() string {
	names := []string{
		"launch", "answer", "queue", "refuse", "admit, serve waiters", "fail waiters", "withdraw", "ladder", "ladder from KILL", "next rung",
		"boot failure", "death", "fail calls", "exit hook", "stop resolves", "reap the stray", "late: ignored", "internal error",
	}
	if int(a) >= len(names) {
		return fmt.Sprintf("action %d", uint8(a))
	}
	return names[a]
}

// cell is what the table says of one event in one state.
type cell struct {
	next State // or same
	do   []action
	note string // for docs/states.md: what the actions alone do not tell
}

// same as a cell's next state: it does not change.
const same State = 0xff

var (
	// stale answers an event of another generation. What the event stands for, a process, still has to go.
	stale    = []action{actLate, actReap}
	internal = []action{actInternal}
)

// step takes an event and returns what is to be done, in order. It alone changes the state. The slice is the caller's to read only.
func (m *machine) step(e event) []action {
	if e.gen != m.gen {
		return stale
	}
	if e.kind >= numEvents || m.state >= numStates || m.contradicts(e) {
		return internal
	}
	c := table[e.kind][m.state]
	do := m.due(c.do)
	m.learn(e)
	m.enter(c.next)
	return do
}

// contradicts says that an event cannot be true although its cell allows it: only a retiring worker drains.
func (m *machine) contradicts(e event) bool {
	return e.kind == evDrained && m.state == StateReady && !m.facts.retiring
}

// due leaves out the actions that depend on a fact which does not hold.
func (m *machine) due(do []action) []action {
	kept := make([]action, 0, len(do))
	for _, a := range do {
		if m.holds(a) {
			kept = append(kept, a)
		}
	}
	return kept
}

func (m *machine) holds(a action) bool {
	switch a {
	case actExitHook: // only for a connection that was established, and lost without the user's wish
		return m.facts.connected && !m.facts.asked
	case actDied: // ends that we wished for teach the back-off nothing
		return m.facts.unwanted || m.state == StateReady && !m.facts.retiring
	default:
		return true
	}
}

func (m *machine) learn(e event) {
	switch {
	case e.kind == evStop && m.state != StateStopped:
		m.facts.asked = true
	case e.kind == evCreated && (m.state == StateStarting || m.state == StateWaitingReady):
		m.facts.connected = true
	case e.kind == evRetire && m.state == StateReady:
		m.facts.retiring = true
		m.facts.unwanted = m.facts.unwanted || e.unwanted
	case e.kind == evKill && m.state == StateReady:
		m.facts.unwanted = m.facts.unwanted || e.unwanted
	}
}

func (m *machine) enter(next State) {
	switch {
	case next == same:
		return
	case m.state == StateStopped && next == StateStarting:
		*m = machine{state: StateStarting, gen: m.gen + 1}
		return
	case next == StateStopped:
		m.facts = facts{}
	}
	m.state = next
}
