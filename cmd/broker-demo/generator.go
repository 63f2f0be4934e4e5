package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/broker"
)

const (
	// lastCalls is how long after a load's end no call may have ended before those that still run are given up.
	lastCalls = 10 * time.Second
	// leaveTime is what given up calls have to return. One that has not by then is lost.
	leaveTime = 5 * time.Second
	// looks is the time between two looks at whether calls still end.
	looks = time.Second
	// afterRefusal is the pause of a caller in a closed loop for whom there was no worker: at once it would be a busy loop.
	afterRefusal = 50 * time.Millisecond
)

// errStuck is why calls are given up.
var errStuck = fmt.Errorf("the load is over, and no call has ended for %v", lastCalls)

// exchange makes the call with this number and returns the number that the answer bears. Each caller has its own.
type exchange func(ctx context.Context, number int64) (answered int64, err error)

// generator makes the calls of a load. Its functions may be called from several goroutines at once.
type generator struct {
	callers     int
	pace        pace
	closed      bool      // the pace is a closed loop
	end         time.Time // when no further calls become due
	newExchange func() exchange
	book        *book
	latencies   *latencies
	failed      func(error) // a call has failed
	ended       func()      // a call has ended, however
}

// run makes the calls. It returns when every caller has: after the last call that was due; or, once drain has ended, when the calls under way
// are done. Calls that do not end, and all calls once force has ended, are given up, and those that do not even end then are left behind.
func (g *generator) run(drain, force context.Context) {
	drain, stop := context.WithCancel(drain)
	calls, giveUp := context.WithCancelCause(force)
	var pacer, callers sync.WaitGroup
	// Ends when every call has been due, or drain has ended.
	pacer.Go(func() { g.pace.run(drain) })
	defer pacer.Wait()
	defer stop()
	defer giveUp(nil)
	for i := range g.callers {
		// Ends when no call is due any more, and its last call has returned.
		callers.Go(func() { g.caller(drain, calls, i) })
	}
	done := make(chan struct{})
	// Ends with the last caller.
	go func() {
		callers.Wait()
		close(done)
	}()
	if g.wait(done, drain, force) {
		return
	}
	stop()
	giveUp(errStuck)
	select {
	case <-done:
	case <-time.After(leaveTime):
	}
}

// wait reports whether the callers have ended by themselves.
func (g *generator) wait(done <-chan struct{}, drain, force context.Context) bool {
	ticker := time.NewTicker(looks)
	defer ticker.Stop()
	seen, since := g.book.done(), time.Now()
	for {
		select {
		case <-done:
			return true
		case <-force.Done():
			return false
		case <-ticker.C:
		}
		now := time.Now()
		over := !now.Before(g.end) || drain.Err() != nil
		if ended := g.book.done(); ended != seen || !over {
			seen, since = ended, now
		}
		if now.Sub(since) >= lastCalls {
			return false
		}
	}
}

func (g *generator) caller(drain, calls context.Context, index int) {
	exchange := g.newExchange()
	for {
		due, ok := g.pace.next(drain)
		if !ok {
			return
		}
		number := g.book.begin()
		if g.closed {
			due = time.Now() // it is no part of the call that it has been written down
		}
		answered, err := exchange(calls, number)
		g.latencies.record(index, time.Since(due))
		g.book.end(answered, fateOf(err))
		if err != nil {
			g.failed(err)
		}
		g.ended()
		if g.closed && classOf(err) == broker.ClassUnavailable.String() && pause(drain, afterRefusal) != nil {
			return
		}
	}
}

// fateOf says what a call's error tells of its execution.
func fateOf(err error) fate {
	var e *broker.Error
	switch {
	case err == nil:
		return fateAnswered
	case !errors.As(err, &e):
		return fateFailed
	case e.Delivery == broker.NotSent:
		return fateNotSent
	case e.Delivery == broker.Answered:
		return fateFailed
	default:
		return fateUnknown
	}
}

// errWrongAnswer: the answer is not the echo of what was sent.
var errWrongAnswer = errors.New("the answer is not what was sent")

// classOf is under which name an error is counted; empty for none.
func classOf(err error) string {
	var e *broker.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Class.String()
	default:
		return "wrong_answer"
	}
}
