package monitor

import (
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// State is where a program is in its life.
type State uint8

const (
	// StateStopped is a program that does not run and is not about to: the monitor does not run, or the program has exited with success and
	// StopOnSuccess is set.
	StateStopped State = iota
	// StateStarting is a program that is being started, or waits for its predecessor to end, or is not ready yet.
	StateStarting
	// StateRunning is a program that runs, and is ready if ProgramOptions say how that is to be seen.
	StateRunning
	// StateStopping is a program that has been told to end and has not ended.
	StateStopping
	// StateBackingOff is a program that died early and waits for its restart.
	StateBackingOff
	// StateGivenUp is a program that has died early MaxAttempts times in a row.
	StateGivenUp
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case StateStopped:
		return "stopped"
	case StateStarting:
		return "starting"
	case StateRunning:
		return "running"
	case StateStopping:
		return "stopping"
	case StateBackingOff:
		return "backing off"
	case StateGivenUp:
		return "given up"
	default:
		return "unknown state"
	}
}

// Status is what a program looks like at a moment.
type Status struct {
	Name  string
	State State
	Since time.Time // when it came to be in this state; zero before the first start

	PID        int // 0 while there is no process
	Generation int // how often it has been started
	Restarts   int // how often again

	Attempts int           // how often in a row it has died early or failed to start
	Delay    time.Duration // of the wait for the restart; 0 unless it is backing off

	LastReport process.Report // how the process before this one ended; zero if there was none
	LastError  error          // why the last start failed; nil if it did not
}
