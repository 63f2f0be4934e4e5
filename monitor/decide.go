package monitor

import (
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// death is how one start of a program came out, as far as it matters for the next.
type death struct {
	at      time.Time // the wait counts from here
	lived   time.Duration
	failed  bool // it could not be started
	unready bool // it was to become ready, and has not
	success bool // exited with code 0
	asked   bool // we ended it because somebody wanted that
}

// decision is what is to be done after a death.
type decision uint8

const (
	// again: start it at once.
	again decision = iota
	// wait: start it after the delay.
	wait
	// finish: it has done its work.
	finish
	// giveUp: it has been tried often enough.
	giveUp
)

// streak decides what to do after each death of a program. It is pure. It knows how many in a row came too early.
type streak struct {
	policy        Policy
	stopOnSuccess bool
	backoff       process.Backoff
	attempts      int
}

func newStreak(o ProgramOptions) streak {
	return streak{
		policy:        o.Policy,
		stopOnSuccess: o.StopOnSuccess,
		backoff:       process.Backoff{Min: o.MinDelay, Max: o.MaxDelay, Jitter: o.Jitter},
	}
}

// after takes note of a death. delay is that of the decision wait.
func (s *streak) after(d death) (do decision, delay time.Duration) {
	switch {
	case d.asked:
		// It says nothing about the program: neither that it fails, nor that it is well (L4.5, P24).
		return again, 0
	case d.success && !d.unready && s.stopOnSuccess:
		return finish, 0
	case !d.failed && !d.unready && d.lived >= s.policy.Threshold:
		s.attempts = 0
		s.backoff.Reset()
		return again, 0
	}
	s.attempts++
	if s.policy.MaxAttempts > 0 && s.attempts >= s.policy.MaxAttempts {
		return giveUp, 0
	}
	return wait, s.backoff.Next()
}
