package main

import (
	"context"
	"time"
)

// pace says when calls are to be made.
type pace interface {
	// run does its part of that until every call has been due, or ctx ends.
	run(ctx context.Context)
	// next returns when a caller's next call is due, and blocks until then. There is none when the load is over. Any number of
	// callers may wait at once.
	next(ctx context.Context) (due time.Time, ok bool)
	// due returns how many calls have been due so far, at the least.
	due() int64
}

// closedLoop has each caller call as soon as its last call has ended.
type closedLoop struct{ end time.Time }

func (l *closedLoop) run(context.Context) {}

func (l *closedLoop) next(ctx context.Context) (time.Time, bool) {
	now := time.Now()
	return now, now.Before(l.end) && ctx.Err() == nil
}

func (l *closedLoop) due() int64 { return 0 } // there is always a caller for one

// openLoop has calls due at fixed times, whatever becomes of the earlier ones. Who runs it watches the clock, so that callers need not sleep, and
// hands each call to one of those that wait; while none does, it and the calls behind it wait for one and keep their times.
type openLoop struct {
	start time.Time
	rate  float64             // calls a second
	calls int64               // due in all
	doze  func(time.Duration) // sleeps for less than coarse, as exactly as can be
	dues  chan time.Time      // without a buffer; closed when no further call is due
}

func newOpenLoop(start time.Time, rate float64, duration time.Duration) *openLoop {
	return &openLoop{
		start: start, rate: rate, calls: max(1, int64(rate*duration.Seconds())),
		doze: doze, dues: make(chan time.Time),
	}
}

func (l *openLoop) run(ctx context.Context) {
	defer close(l.dues)
	for n := range l.calls {
		due := l.start.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
		if l.sleep(ctx, due) != nil {
			return
		}
		select {
		case l.dues <- due:
		case <-ctx.Done():
			return
		}
	}
}

// coarse is by how much a timer may be late: where nothing else goes on, Go's fire on the millisecond.
const coarse = 2 * time.Millisecond

// sleep returns nil at that time, or ctx's error soon after its end.
func (l *openLoop) sleep(ctx context.Context, until time.Time) error {
	if err := pause(ctx, time.Until(until)-coarse); err != nil {
		return err
	}
	for left := time.Until(until); left > 0; left = time.Until(until) {
		l.doze(left)
	}
	return ctx.Err()
}

func (l *openLoop) next(context.Context) (time.Time, bool) {
	due, ok := <-l.dues
	return due, ok
}

func (l *openLoop) due() int64 {
	return min(l.calls, int64(time.Since(l.start).Seconds()*l.rate)+1) // the first is due at once
}

// pause returns nil after d, or ctx's error as soon as that ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
