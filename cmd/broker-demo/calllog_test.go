package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
)

// failed is an error of that class.
func failed(class broker.Class, delivery broker.Delivery) error {
	return fmt.Errorf("call: %w", &broker.Error{Class: class, Delivery: delivery, Err: errors.New("why")})
}

// newCallLog returns one, and what it notes.
func newCallLog() (*callLog, *[]string) {
	var notes []string
	return &callLog{note: func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }}, &notes
}

func TestCallLogCountsEachCallOnce(t *testing.T) {
	l, notes := newCallLog()
	for _, err := range []error{
		nil, nil, failed(broker.ClassInterrupted, broker.Unknown), failed(broker.ClassUnavailable, broker.NotSent), errWrongAnswer,
	} {
		require.Equal(t, err, l.make(func() error { return err }, func(error) bool { return true }))
	}
	l.book.begin() // and does not end
	begun, answered, failed, lost := l.totals()
	require.Equal(t, []int64{6, 2, 2, 2}, []int64{begun, answered, failed, lost}, "a wrong answer is lost, as is one that does not come")
	require.Equal(t, fateNotSent, l.book.fate(3))
	require.Empty(t, *notes)
	require.Zero(t, l.wrong())
}

func TestCallLogNotesWhatMustNotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, notes := newCallLog()
		_ = l.make(func() error { time.Sleep(callBound); return nil }, transient)
		_ = l.make(func() error { time.Sleep(callBound + 1); return nil }, transient)
		_ = l.make(func() error { return failed(broker.ClassRemote, broker.Answered) }, transient)
		_ = l.make(func() error { return nil }, func(err error) bool { return err != nil })
		require.EqualValues(t, 1, l.overdue.Load())
		require.EqualValues(t, 2, l.unexpected.Load())
		require.EqualValues(t, 3, l.wrong())
		require.Len(t, *notes, 3)
		require.Contains(t, (*notes)[0], "overdue: a call took 15")
		require.Equal(t, "unexpected end of a call: it was answered", (*notes)[2])
	})
}

func TestTransient(t *testing.T) {
	require.True(t, transient(nil))
	require.True(t, transient(failed(broker.ClassInterrupted, broker.Unknown)))
	require.True(t, transient(failed(broker.ClassUnavailable, broker.NotSent)))
	require.True(t, transient(&broker.Error{Class: broker.ClassInterrupted, Err: broker.ErrPoison}))
	require.False(t, transient(failed(broker.ClassContext, broker.Unknown)))
	require.False(t, transient(failed(broker.ClassCaller, broker.NotSent)))
	require.False(t, transient(failed(broker.ClassRemote, broker.Answered)))
	require.False(t, transient(errWrongAnswer))
}

func TestHowCallsOnHostileWorkersMayEnd(t *testing.T) {
	timedOut := &broker.Error{Class: broker.ClassInterrupted, Err: broker.ErrCallTimeout}
	stays, leaves := func(mode string) fault { return fault{kind: mode} }, func(mode string) fault { return fault{kind: mode, leave: 1} }
	tests := []struct {
		name string
		f    fault
		err  error
		may  bool
	}{
		{"a good worker answers", stays("twice"), nil, true},
		{"a bad one must not", stays("garbage"), nil, false},
		{"a good one is not lost", stays("twice"), failed(broker.ClassInterrupted, broker.Unknown), false},
		{"a bad one is", stays("garbage"), failed(broker.ClassInterrupted, broker.Unknown), true},
		{"a bomb is the worker's", stays("bomb-deep"), failed(broker.ClassRemote, broker.Answered), true},
		{"and nobody else's", stays("bomb-deep"), failed(broker.ClassInterrupted, broker.Unknown), false},
		{"who stays is not sent away", stays("frozen"), failed(broker.ClassContext, broker.Unknown), false},
		{"who leaves has left", leaves("frozen"), failed(broker.ClassContext, broker.Unknown), true},
		{"no time", stays("twice"), timedOut, true},
		{"no worker", stays("twice"), failed(broker.ClassUnavailable, broker.NotSent), true},
		{"no class", leaves("garbage"), errWrongAnswer, false},
	}
	for _, test := range tests {
		require.Equal(t, test.may, mayEnd(test.f, test.err), test.name)
	}
}

// Where nothing is answered any more, that is found out in bounded time.
func TestProveEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := newCallLog()
		start, calls := time.Now(), 0
		err := prove(t.Context(), l, func(context.Context) error { calls++; return failed(broker.ClassUnavailable, broker.NotSent) })
		require.ErrorContains(t, err, "no call is answered any more, for 15s: call: ")
		require.Equal(t, callBound, time.Since(start))
		require.EqualValues(t, calls, l.book.done())

		calls = 0
		require.NoError(t, prove(t.Context(), l, func(context.Context) error {
			if calls++; calls < 3 {
				return failed(broker.ClassInterrupted, broker.NotSent)
			}
			return nil
		}))
		require.Equal(t, 3, calls)
	})
}

func TestEventuallyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := eventually(t.Context(), func(context.Context) (bool, error) { return false, nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, callBound, time.Since(start))
		require.Equal(t, errAnswered, eventually(t.Context(), func(context.Context) (bool, error) { return false, errAnswered }))
		require.NoError(t, eventually(t.Context(), func(context.Context) (bool, error) { return true, nil }))
	})
}
