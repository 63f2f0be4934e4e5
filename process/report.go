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

	// OOM says whether the system killed the process for lack of memory, as far as that can be known.
	OOM OOM

	// Uptime is the time from the start of the process to its death.
	Uptime time.Duration

	// MaxRSS is the most resident memory that the process has had at a time, or one of its descendants that it waited for, in bytes. If 0, it
	// is not known, as when it was not clearly more than this program had had itself by the start of the process.
	MaxRSS int64
	// User and System are the processor time that the process has used, with its descendants that it waited for: in its own code and in the
	// kernel. They are 0 for in-memory processes.
	User, System time.Duration

	// StderrTail is the last that the process wrote to its standard error, at most 64 KiB. It is complete once the process has ended.
	StderrTail string

	// Held says that somebody held the standard error open after the process had exited, until DrainTimeout was over: a grandchild that has
	// left the process group. Nobody reads any longer what it writes there. For a Managed it says so of the standard output as well.
	Held bool

	// Strays are processes that descend from this one and had left its group, as daemons do, so that killing the group did not reach them. They were
	// killed after it had exited, as far as we may; the list is complete once the process has ended, and is not to be changed. No more
	// than 64 are named. See Options.SpareStrays.
	Strays []Stray

	// Lost says that other code in this program took the exit status, by waiting for any child or by ignoring SIGCHLD.
	Lost bool
}

// OOM says how sure it is that a process was killed by the system for lack of memory. The empty OOM says that nothing speaks for it.
type OOM string

const (
	// OOMLikely: the process was killed by KILL, not by us, and the system has just counted a process killed for lack of memory, in this
	// program's control group (its container, say) or, without one, on the machine. It need not have been this one.
	OOMLikely OOM = "likely"
	// OOMKnown: the kernel counted it in the process's own control group. With Limits.Memory the limit was that one or the machine's.
	OOMKnown OOM = "known"
)

// Success tells whether the process exited by itself with code 0: nothing else is a success.
func (r Report) Success() bool {
	return r.PID != 0 && r.Code == 0 && r.Signal == 0
}

// String says in a few words how the process ended and how long it had lived: "killed by signal 9 (KILL) after 4m12s", "exited with
// code 3 after 1.2s", "stopped by us (idle): exited with code 0 after 1m0s", "killed by signal 9 (KILL), probably out of memory, after
// 4m12s". It does not contain StderrTail.
func (r Report) String() string {
	if r.PID == 0 {
		return "has not exited"
	}
	text := r.outcome() + " after " + brief(r.Uptime)
	if r.Killer != "" {
		text = fmt.Sprintf("stopped by us (%s): %s", r.Killer, text)
	}
	return text + describeStrays(r.Strays)
}

func (r Report) outcome() string {
	switch {
	case r.Signal != 0:
		return "killed by " + r.Signal.describe() + r.OOM.describe()
	case r.Lost:
		return "exited with a status that other code of this program took"
	default:
		return fmt.Sprintf("exited with code %d", r.Code)
	}
}

func (o OOM) describe() string {
	switch o {
	case OOMKnown:
		return ", out of memory,"
	case OOMLikely:
		return ", probably out of memory,"
	default:
		return ""
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
