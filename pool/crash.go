package pool

import (
	"errors"
	"fmt"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// Crash says what a worker's end has to do with a call that it cut short.
type Crash uint8

const (
	// CrashNone: the worker did not crash, or the call certainly had not reached it.
	CrashNone Crash = iota
	// CrashShared: the worker crashed while it had the call among others. Any of them may be the cause, or none.
	CrashShared
	// CrashAlone: the worker crashed while it had this call alone.
	CrashAlone
)

func (c Crash) String() string {
	switch c {
	case CrashNone:
		return "no crash"
	case CrashShared:
		return "shared crash"
	case CrashAlone:
		return "crash alone"
	default:
		return fmt.Sprintf("crash %d", uint8(c))
	}
}

// isCrash says that an end is the worker's own doing, or that of what it was doing: it ended unaided, by whatever exit code or signal, or was killed
// because it broke the protocol, hung, closed its output or went over its memory limit. All that would happen again.
func isCrash(why process.Killer) bool {
	switch why {
	case "", process.KillerViolation, process.KillerHang, process.KillerMemory, killerMute:
		return true
	default:
		return false
	}
}

// noteCrash takes note of a crash while the calls in flight are still known, before any of them is failed for it. Only the first one counts.
func (w *worker) noteCrash(why process.Killer) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	switch {
	case w.crash != CrashNone || !isCrash(why):
	case w.inFlight == 1 && !w.leaseLost:
		w.crash = CrashAlone
	default:
		w.crash = CrashShared
	}
}

// crashOf says what a crash of the worker means for a call that has failed.
func (w *worker) crashOf(class Class, delivery rpc.Delivery, cause error) Crash {
	if class != ClassInterrupted || delivery != rpc.Unknown || errors.Is(cause, ErrCallTimeout) {
		return CrashNone
	}
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.crash
}
