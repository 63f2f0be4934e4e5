package brokertest

import (
	"fmt"

	"github.com/stdcrew/stdcrew/broker"
)

// Fault is what happens to a worker, or to a call that has reached one. The zero Fault is none: the call is served, the worker starts.
type Fault struct {
	kind kind
	code int    // exit code or signal
	text string // for standard error or output
	err  error  // to answer with
}

// kind is what a fault is.
type kind uint8

const (
	none    kind = iota
	answer       // the call is answered with an error, the start fails with it
	refuse       // the call is answered as one that has not been run, and will not be
	hang         // no answer until the call is canceled
	exit         // the process exits
	killed       // a signal ends the process
	freeze       // the process does nothing any more
	garbage      // the process prints to its standard output
	goodbye      // the worker takes no further calls
	nothing      // cannot happen at all; of a call: it is skipped
)

var kindNames = [...]string{"no fault", "Answer", "Interrupted", "Hang", "Exit", "Killed", "Freeze", "Garbage", "Goodbye"}

func (k kind) hitsCalls() bool { return k != nothing }

func (k kind) hitsStarts() bool { return k != nothing && k != refuse && k != goodbye }

func (k kind) hitsWorkers() bool { return k >= exit && k != nothing }

// String names the fault.
func (f Fault) String() string {
	if f.kind == nothing {
		return f.text
	}
	return kindNames[f.kind]
}

// Answer has the worker answer with an error, as if a handler had returned it: class remote. A *broker.RemoteError keeps its code and data. A
// worker that is starting says that it cannot start, for this reason. If err is nil, there is no fault.
func Answer(err error) Fault {
	if err == nil {
		return Fault{}
	}
	return Fault{kind: answer, err: err}
}

// Exit has the worker's process write a text to its standard error, and exit with a code: in the middle of a call, or at its start.
func Exit(code int, stderr string) Fault { return Fault{kind: exit, code: code, text: stderr} }

// Killed has the worker's process write a text to its standard error and die of a signal, given by its number: 11 for a segmentation fault, 9 for
// what the system does when memory is short.
func Killed(signal int, stderr string) Fault {
	if signal <= 0 {
		return Fault{kind: nothing, text: fmt.Sprintf("Killed(%d)", signal)}
	}
	return Fault{kind: killed, code: signal, text: stderr}
}

// Hang has a call go unanswered until it is canceled, because its context or CallTimeout has ended, or the pool is closed. The worker is well. One
// that is starting says nothing until its input ends.
func Hang() Fault { return Fault{kind: hang} }

// Freeze has the worker's process do nothing any more, whatever it is told; only KILL ends it, which is Killed(9, ""). Its handlers go on, unheard.
func Freeze() Fault { return Fault{kind: freeze} }

// Garbage has the worker print a text to its standard output, which belongs to the protocol: the broker kills it. The text must not be empty.
func Garbage(text string) Fault {
	if text == "" {
		return Fault{kind: nothing, text: `Garbage("")`}
	}
	return Fault{kind: garbage, text: text}
}

// Goodbye has the worker leave: it finishes the calls that it has, and takes no further ones, nor the one that meets with this fault. That one
// has not been executed, so the broker gives it to another worker.
func Goodbye() Fault { return Fault{kind: goodbye} }

// Interrupted has a call fail with class interrupted and that Delivery: Unknown or NotSent.
//
// With Unknown the worker's process exits with code 1. The broker repeats the call if it is Idempotent; each time is one of those that [Pool.Next]
// counts, and three make the call poison.
//
// With NotSent the worker turns the call down and is well otherwise. The broker repeats such a call a few times before the caller learns of
// it; all of them fail in the same way, and Next counts them as one.
func Interrupted(d broker.Delivery) Fault {
	switch d {
	case broker.Unknown:
		return Exit(1, "")
	case broker.NotSent:
		return Fault{kind: refuse}
	default:
		return Fault{kind: nothing, text: fmt.Sprintf("Interrupted(%v)", d)}
	}
}
