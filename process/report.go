package process

import (
	"fmt"
	"time"
)

// Report says how a process ended. The zero Report stands for a process that has not.
type Report struct {
	PID int

	// Code is the exit code, or -1 where there is none: the process was ended by Signal, or Lost is set.
	Code int
	// Signal is the signal that ended the process, or 0 if it exited by itself.
	Signal Signal

	// Killer is why we ended the process, empty if we did not. It is recorded before the first signal is sent, so a process that crashed in
	// that very moment carries it too; Code and Signal are always what really happened.
	Killer Killer

	// Uptime is the time from the start of the process to its death.
	Uptime time.Duration

	// StderrTail is the last that the process wrote to its standard error, at most 64 KiB. It is complete once the process has ended.
	StderrTail string

	// Held says that somebody held the standard error open after the process had exited, until DrainTimeout was over: a grandchild that has
	// left the process group. Nobody reads any longer what it writes there. For a Managed it says so of the standard output as well.
	Held bool

	// Lost says that other code in this program took the exit status, by waiting for any child or by ignoring SIGCHLD.
	Lost bool
}

// Success tells whether the process exited by itself with code 0: nothing else is a success.
func (r Report) Success() bool {
	return r.PID != 0 && r.Code == 0 && r.Signal == 0
}

// String says in a few words how the process ended and how long it had lived: "killed by signal 9 (KILL) after 4m12s", "exited with
// code 3 after 1.2s", "stopped by us (idle): exited with code 0 after 1m0s". It does not contain StderrTail.
func (r Report) String() string {
	if r.PID == 0 {
		return "has not exited"
	}
	text := r.outcome() + " after " + brief(r.Uptime)
	if r.Killer != "" {
		text = fmt.Sprintf("stopped by us (%s): %s", r.Killer, text)
	}
	return text
}

func (r Report) outcome() string {
	switch {
	case r.Signal != 0:
		return "killed by " + r.Signal.describe()
	case r.Lost:
		return "exited with a status that other code of this program took"
	default:
		return fmt.Sprintf("exited with code %d", r.Code)
	}
}

// brief keeps as many digits of d as a reader needs.
func brief(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(time.Millisecond)
	default:
		d = d.Round(time.Microsecond)
	}
	return d.String()
}
