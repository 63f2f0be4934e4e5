package broker

import (
	"errors"
	"fmt"

	"github.com/stdcrew/stdcrew/pool"
	"github.com/stdcrew/stdcrew/rpc"
)

// maxCrashes is how many workers a call may crash. Once may be a coincidence, and so may twice where something else kills workers.
const maxCrashes = 3

// history is what the attempts of one call have come to.
type history struct {
	maybeRun bool // one of them may have executed it
	suspect  bool // a worker crashed while it had the call: from then on the call gets its workers alone
	crashes  int  // of workers that it had alone
}

// add takes a failed attempt, and sees to it that its error says what is known of all. It tells whether the call is poison.
func (h *history) add(err error) (poison bool) {
	var e *Error
	if !errors.As(err, &e) {
		h.maybeRun = true
		return false
	}
	if h.maybeRun && e.Delivery == rpc.NotSent {
		e.Delivery = rpc.Unknown
	}
	h.maybeRun = e.Delivery != rpc.NotSent
	h.suspect = h.suspect || e.Crash != pool.CrashNone
	if e.Crash != pool.CrashAlone {
		return false
	}
	h.crashes++
	if h.crashes < maxCrashes {
		return false
	}
	e.Err = fmt.Errorf("%w: this call has crashed %d workers; the last one: %w", ErrPoison, h.crashes, e.Err)
	return true
}
