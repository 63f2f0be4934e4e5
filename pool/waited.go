package pool

import (
	"fmt"
	"time"
)

// errNobodyWaits is how a full queue looks that has no place at all.
var errNobodyWaits = fmt.Errorf("%w: no worker is free, and with a negative Queue nobody waits for one", ErrQueueFull)

func (p *Pool) queueFull() error {
	if p.opts.Queue < 0 {
		return errNobodyWaits
	}
	return ErrQueueFull
}

// waitError says that a caller has left the queue, and why there was no worker for it: its patience alone explains nothing where none starts.
type waitError struct {
	err  error // the context's, or ErrQueueTimeout
	why  string
	last error // the boot error that why ends with, or nil; its text is not asked for under the mutex, for it may be anybody's
}

func (e *waitError) Error() string {
	text := e.err.Error() + "; " + e.why
	if e.last != nil {
		text += " " + e.last.Error()
	}
	return text
}

// Unwrap returns the caller's reason alone: to errors.As the call was not cut short by a process.
func (e *waitError) Unwrap() error { return e.err }

func (e *waitError) stderrTail() string {
	if e.last == nil {
		return ""
	}
	return rawTailOf(e.last)
}

// explain adds to the reason for which a caller has left the queue why no worker was ready. Where one was, all were busy, and nothing is added.
func (p *Pool) explain(left error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delay := p.restarts.waits(p.now())
	switch {
	case p.census.ready > 0 || p.phase != phaseOpen:
		return left
	case p.restarts.last != nil:
		return &waitError{err: left, why: "the last worker", last: p.restarts.last}
	case p.census.starting > 0:
		return &waitError{err: left, why: "no worker is ready yet"}
	case delay > 0:
		return &waitError{err: left, why: fmt.Sprintf("the last worker died early, and none is started for %v", delay.Round(time.Millisecond))}
	}
	return left
}
