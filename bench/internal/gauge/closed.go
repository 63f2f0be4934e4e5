package gauge

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// Call is one call, as a caller makes it again and again.
type Call func(context.Context) error

// ClosedLoop is a Load of callers that each make one call after the other.
type ClosedLoop struct {
	Callers  []Call
	PIDs     func() []int  // of the workers
	Patience time.Duration // how long a Run may take beyond its time until it is given up
	GiveUp   func()        // called then, for calls that heed no context; may be nil

	times [][]time.Duration // by caller
	all   []time.Duration
}

// ErrStuck is why something was given up.
var ErrStuck = errors.New("no answer for so long that it was given up")

// Run has every caller call until the time is over, at least once, and returns how long it took until the last had its answer.
func (l *ClosedLoop) Run(length time.Duration) (time.Duration, error) {
	// The context can be canceled, as that of any real caller can: one that cannot would spare the work of being ready for it.
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stuck := time.AfterFunc(length+l.Patience, func() {
		cancel(ErrStuck)
		if l.GiveUp != nil {
			l.GiveUp()
		}
	})
	defer stuck.Stop()
	if l.times == nil {
		l.times = make([][]time.Duration, len(l.Callers))
	}
	var callers sync.WaitGroup
	begin := time.Now()
	for i, call := range l.Callers {
		// Ends with the time, or the first error of any caller.
		callers.Go(func() {
			times := l.times[i][:0]
			for last := begin; last.Sub(begin) < length || len(times) == 0; {
				start := time.Now()
				if err := call(ctx); err != nil {
					cancel(err)
				}
				if ctx.Err() != nil {
					break
				}
				last = time.Now()
				times = append(times, last.Sub(start))
			}
			l.times[i] = times
		})
	}
	callers.Wait()
	return time.Since(begin), context.Cause(ctx)
}

// Times brings those of all callers together.
func (l *ClosedLoop) Times() ([]time.Duration, error) {
	l.all = l.all[:0]
	for _, t := range l.times {
		l.all = append(l.all, t...)
	}
	return l.all, nil
}

// CPU returns the CPU time that this process and the workers have used.
func (l *ClosedLoop) CPU() (time.Duration, error) {
	return CPUTime(append([]int{os.Getpid()}, l.PIDs()...)...)
}
