package main

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stdcrew/stdcrew/broker"
)

// callBound is what a call may take whatever is thrown at its worker: all graces and freezes of chaos come to much less.
const callBound = 15 * time.Second

// callLog knows what has become of calls, and which of them have not ended as they may. The zero value is ready but for note; any
// number of goroutines may use it.
type callLog struct {
	book       book
	failures   failures
	overdue    atomic.Int64 // calls that took longer than callBound
	unexpected atomic.Int64 // calls that ended in a way that they were not allowed to
	note       func(format string, args ...any)
}

// ended takes note of the end of a call, with how long it took. allowed says whether a call may end with this error, or with none.
func (l *callLog) ended(err error, took time.Duration, allowed func(error) bool) {
	if err != nil {
		l.failures.add(err)
	}
	if took > callBound {
		l.overdue.Add(1)
		l.note("overdue: a call took %v: %v", took, err)
	}
	if !allowed(err) {
		l.unexpected.Add(1)
		if err == nil {
			err = errAnswered
		}
		l.note("unexpected end of a call: %v", err)
	}
}

// errAnswered: the call was answered, and must not have been.
var errAnswered = errors.New("it was answered")

// make makes a call and writes all about it down.
func (l *callLog) make(call func() error, allowed func(error) bool) error {
	number, start := l.book.begin(), time.Now()
	err := call()
	l.book.end(number, fateOf(err))
	l.ended(err, time.Since(start), allowed)
	return err
}

// wrong returns how many calls did not end as they may.
func (l *callLog) wrong() int64 { return l.overdue.Load() + l.unexpected.Load() }

// totals returns how many calls were begun, answered, failed with a *broker.Error, and got lost: have not ended, or ended without a class.
func (l *callLog) totals() (begun, answered, failed, lost int64) {
	begun, ended, _ := l.book.totals()
	failed = sumOf(l.byClass())
	all, _, _ := l.failures.counts()
	unclassed := sumOf(all) - failed
	return begun, ended - failed - unclassed, failed, begun - ended + unclassed
}

// byClass returns how many calls failed with a *broker.Error.
func (l *callLog) byClass() map[string]int64 {
	byClass, _, _ := l.failures.counts()
	delete(byClass, classOf(errWrongAnswer))
	return byClass
}

// isClass says whether an error is of one of these classes.
func isClass(err error, classes ...broker.Class) bool {
	var e *broker.Error
	return errors.As(err, &e) && slices.Contains(classes, e.Class)
}

// transient says that a call was answered, or failed as it may while its pool loses workers: as poison, too, which is what a call is taken for
// that we strike three times.
func transient(err error) bool {
	return err == nil || isClass(err, broker.ClassUnavailable, broker.ClassInterrupted)
}
