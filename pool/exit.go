package pool

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// Exit says how a worker's process ended. It is what the exit hook gets, and an error: the cause of the calls that it cut short.
type Exit struct {
	Pool       string
	Slot       int
	Generation uint64 // counts the processes of the slot
	Calls      uint64 // that it had answered
	Culprit    string // the method of the call that was canceled and did not end, for which it was stopped; empty: there was none
	Report     process.Report
}

// Error says how the process ended and how many calls it had answered, as in "killed by signal 9 (KILL) after 4m12s, 118 calls".
func (e Exit) Error() string {
	plural := "s"
	if e.Calls == 1 {
		plural = ""
	}
	text := fmt.Sprintf("%v, %d call%s", e.Report, e.Calls, plural)
	if e.Culprit != "" {
		text += fmt.Sprintf(", because a canceled call of %q did not end", e.Culprit)
	}
	return text
}

func (e Exit) stderrTail() string { return e.Report.StderrTail }

// failedError is the cause of the calls of a worker that was killed for what it did.
type failedError struct {
	err  error
	exit Exit
}

func (e *failedError) Error() string { return e.err.Error() + "; " + e.exit.Error() }

func (e *failedError) Unwrap() []error { return []error{e.err, e.exit} }

// tailedError is an error with the end of the standard error of the worker that it is about.
type tailedError struct {
	err  error
	tail string
}

func (e *tailedError) Error() string      { return e.err.Error() }
func (e *tailedError) Unwrap() error      { return e.err }
func (e *tailedError) stderrTail() string { return e.tail }

// bootError says why a process did not become ready.
type bootError struct {
	err    error
	ended  bool // exit is set
	exit   Exit
	tail   string // of the standard error
	remedy string // or empty
}

func (e *bootError) stderrTail() string { return e.tail }

func (e *bootError) Error() string {
	parts := make([]string, 0, 3)
	if e.ended {
		parts = append(parts, e.exit.Report.String())
	}
	if e.err != nil {
		parts = append(parts, e.err.Error())
	}
	if e.remedy != "" {
		parts = append(parts, e.remedy)
	}
	return "did not become ready: " + strings.Join(parts, "; ")
}

func (e *bootError) Unwrap() []error {
	var errs []error
	if e.ended {
		errs = append(errs, e.exit)
	}
	if e.err != nil {
		errs = append(errs, e.err)
	}
	return errs
}

// retryError is a boot error as callers get it: with the time until the next attempt.
type retryError struct {
	err error
	in  time.Duration
}

func (e *retryError) Error() string {
	return fmt.Sprintf("worker %v; next attempt in %v", e.err, e.in.Round(time.Millisecond))
}

func (e *retryError) Unwrap() error { return e.err }

// launchFatal says that a program which could not be launched cannot be launched in a second either.
func launchFatal(err error) bool {
	for _, hopeless := range []error{fs.ErrInvalid, fs.ErrNotExist, fs.ErrPermission, syscall.ENOEXEC, errors.ErrUnsupported} {
		if errors.Is(err, hopeless) {
			return true
		}
	}
	return false
}

// startFatal says that a worker has told us itself that it cannot start.
func startFatal(err error) bool {
	var initError *rpc.InitError
	return errors.As(err, &initError)
}

// selfRemedy is the usual reason why a program that is its own worker does not say hello.
const selfRemedy = "is worker.Main the first line of main? (process.Command.Self re-executes this program)"
