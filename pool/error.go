package pool

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stdcrew/stdcrew/rpc"
)

// Class says whose matter a failed call is. It decides whether trying again can help; [Retryable] says whether it is safe.
type Class uint8

const (
	// ClassCaller: the caller asked for something impossible, or of a closed pool. The same call will fail again.
	ClassCaller Class = iota + 1
	// ClassContext: the caller's context ended.
	ClassContext
	// ClassRemote: the worker answered with an error.
	ClassRemote
	// ClassUnavailable: no worker could be had; the call was not executed.
	ClassUnavailable
	// ClassInterrupted: the worker went away, broke the protocol, was killed, or took longer than CallTimeout.
	ClassInterrupted
)

func (c Class) String() string {
	switch c {
	case ClassCaller:
		return "caller"
	case ClassContext:
		return "context"
	case ClassRemote:
		return "remote"
	case ClassUnavailable:
		return "unavailable"
	case ClassInterrupted:
		return "interrupted"
	default:
		return fmt.Sprintf("class %d", uint8(c))
	}
}

var (
	// ErrTransient matches, by errors.Is, errors of the classes unavailable and interrupted, but for ErrPoison: a later try may succeed. It does
	// not say that trying again is safe; see Retryable.
	ErrTransient = errors.New("transient")

	// ErrClosed: the pool is closed, or was closed while the call ran.
	ErrClosed = errors.New("pool is closed")
	// ErrStopping: the pool is being stopped and will take calls again afterwards.
	ErrStopping = errors.New("pool is stopping")
	// ErrQueueFull: as many callers as allowed were waiting already.
	ErrQueueFull = errors.New("queue is full")
	// ErrQueueTimeout: no worker was free within QueueTimeout.
	ErrQueueTimeout = errors.New("no worker was free within QueueTimeout")
	// ErrCallTimeout: the worker did not answer within CallTimeout.
	ErrCallTimeout = errors.New("no answer within CallTimeout")
	// ErrPoison: the call has crashed one worker after another, each of which had nothing else to do. Whoever repeats calls says so, such as package
	// broker; a pool makes one attempt at a time.
	ErrPoison = errors.New("poison")
)

// Error is how every call fails. Each failed call has its own.
type Error struct {
	Pool     string
	Method   string
	Slot     int // the worker that had the call; -1: none had
	PID      int // that worker's process
	Class    Class
	Delivery rpc.Delivery
	Attempts int   // how many times the call has been tried, as far as the caller said
	Crash    Crash // what a crash of the worker has to do with the call
	// Err is the cause: an *rpc.RemoteError from the worker, an Exit if the worker's process ended, the context's error, or one of this
	// package's and of package rpc's errors.
	Err error
}

// Error names the call, the worker, what happened, whether the call may have been executed, and the end of the worker's standard error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.call() + ": ")
	if e.Slot >= 0 {
		fmt.Fprintf(&b, "worker %s (pid %d) ", workerName(e.Pool, e.Slot), e.PID)
	}
	b.WriteString(e.verb())
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (attempt %d)", e.Attempts)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Delivery != rpc.Answered {
		fmt.Fprintf(&b, "; %v", e.Delivery)
	}
	if tail := tailOf(e.Err); tail != "" {
		fmt.Fprintf(&b, "; stderr: %s", tail)
	}
	return b.String()
}

// call is how the caller wrote it, as far as a text can begin with that.
func (e *Error) call() string {
	switch {
	case e.Method != "":
		return e.Pool + "." + e.Method
	case e.Pool != "":
		return e.Pool
	}
	return "call"
}

func (e *Error) verb() string {
	switch e.Class {
	case ClassCaller:
		if e.Delivery == rpc.Answered {
			return "answered" // and the caller cannot take the answer
		}
		if e.Delivery == rpc.Unknown {
			return "cut off" // by Close
		}
		return "refused"
	case ClassContext:
		return "given up"
	case ClassRemote:
		return "failed"
	default:
		return e.Class.String()
	}
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Is reports that an error of class unavailable or interrupted is ErrTransient, unless it is ErrPoison.
func (e *Error) Is(target error) bool {
	return target == ErrTransient && (e.Class == ClassUnavailable || e.Class == ClassInterrupted) && !errors.Is(e.Err, ErrPoison)
}

// Retryable says whether a failed call may be repeated whatever it does, because it was certainly not executed and another try is not
// bound to fail in the same way. It is the only thing that decides this.
//
//	class         delivery               transient   retryable
//	caller        any                    no          no
//	context       not sent               no          yes, for a caller that still wants it
//	              otherwise              no          no
//	remote        answered               no          no
//	unavailable   not sent               yes         yes
//	interrupted   not sent               yes         yes
//	              may have been executed yes         no: only if the call is idempotent
//	              the same, ErrPoison    no          no
//
// Errors that are no *Error are not retryable.
func Retryable(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Delivery != rpc.NotSent {
		return false
	}
	return e.Class == ClassContext || e.Class == ClassUnavailable || e.Class == ClassInterrupted
}

// workerName is how logs and errors call the worker in a slot.
func workerName(pool string, slot int) string { return fmt.Sprintf("%s/%d", pool, slot) }

// maxTailText bounds how much of a worker's standard error goes into an error's text. All that was kept is in the Exit.
const maxTailText = 512

// tailOf returns the end of the standard error of the process that an error is about, on one line; empty if there is none.
func tailOf(err error) string {
	tail := strings.TrimSpace(strings.ToValidUTF8(rawTailOf(err), "?"))
	if cut := len(tail) - maxTailText; cut > 0 {
		tail = "…" + strings.ToValidUTF8(tail[cut:], "")
	}
	return strings.Join(strings.FieldsFunc(tail, func(r rune) bool { return r == '\n' || r == '\r' }), " | ")
}

func rawTailOf(err error) string {
	var process interface{ stderrTail() string }
	if !errors.As(err, &process) {
		return ""
	}
	return process.stderrTail()
}

// tailed adds to an error's text the end of the standard error of the process that it is about, if there is any.
func tailed(err error) error {
	if tail := tailOf(err); tail != "" {
		return fmt.Errorf("%w; stderr: %s", err, tail)
	}
	return err
}
