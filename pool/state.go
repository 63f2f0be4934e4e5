package pool

import "fmt"

// State is the state of a slot: of its process and of the connection to it. Busy is not a state but in flight > 0, and why something
// ends (idle, crashed, closed) is a reason.
type State uint8

const (
	// StateStopped: the slot has no process; the next one may be launched.
	StateStopped State = iota
	// StateStarting: a process is being launched, greeted and given to the start hook; it has answered nobody yet.
	StateStarting
	// StateReady: the handshake and the start hook are done; calls may run.
	StateReady
	// StateStopping: the process is on the ladder; it gets no further calls.
	StateStopping
	// StateWaitingReady: a stop came while the process was starting; the stop begins when it has started or failed to.
	StateWaitingReady

	numStates
)

func (s State) String() string {
	switch s {
	case StateStopped:
		return "stopped"
	case StateStarting:
		return "starting"
	case StateReady:
		return "ready"
	case StateStopping:
		return "stopping"
	case StateWaitingReady:
		return "waiting_ready"
	default:
		return fmt.Sprintf("state %d", uint8(s))
	}
}

// MarshalText returns the state's name, also for encoding/json.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
