package brokertest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
	"github.com/stdcrew/stdcrew/process"
)

// observed is a test that is watched: how it fails, and what it does at its end.
type observed struct {
	testing.TB
	said     []string
	cleanups []func()
}

func (o *observed) Helper() {}

func (o *observed) Logf(string, ...any) {}

func (o *observed) Errorf(format string, args ...any) {
	o.said = append(o.said, fmt.Sprintf(format, args...))
}

func (o *observed) Fatalf(format string, args ...any) {
	o.Errorf(format, args...)
	runtime.Goexit()
}

func (o *observed) Cleanup(f func()) { o.cleanups = append(o.cleanups, f) }

// observe runs a test to its end and returns what it failed with.
func observe(t *testing.T, test func(o *observed)) []string {
	o := &observed{TB: t}
	over := make(chan struct{})
	go func() { // ends with the test
		defer close(over)
		test(o)
	}()
	<-over
	for _, f := range slices.Backward(o.cleanups) {
		f()
	}
	return o.said
}

func TestMisuseEndsTheTest(t *testing.T) {
	pools := func(c brokertest.Crew) brokertest.Pools { return brokertest.Pools{"crew": c} }
	crew := func(o *observed) *brokertest.Pool {
		return brokertest.New(o, pools(brokertest.Crew{Handlers: handlers})).Pool("crew")
	}
	start := func(process.Command, process.Options) (*process.Process, error) { return nil, errors.New("no") }
	cases := []struct {
		text string
		test func(o *observed)
	}{
		{"Pools is empty", func(o *observed) { brokertest.New(o, nil) }},
		{"Handlers is nil", func(o *observed) { brokertest.New(o, pools(brokertest.Crew{})) }},
		{"Options.Start is set", func(o *observed) {
			brokertest.New(o, pools(brokertest.Crew{Handlers: handlers, Options: broker.PoolOptions{Start: start}}))
		}},
		{"Min: -1 is negative", func(o *observed) {
			brokertest.New(o, pools(brokertest.Crew{Handlers: handlers, Options: broker.PoolOptions{Min: -1}}))
		}},
		{`there is no pool "other"`, func(o *observed) { brokertest.New(o, pools(brokertest.Crew{Handlers: handlers})).Pool("other") }},
		{"Goodbye cannot happen to a start", func(o *observed) { crew(o).NextStart(1, brokertest.Goodbye()) }},
		{"Interrupted cannot happen to a start", func(o *observed) { crew(o).NextStart(1, brokertest.Interrupted(broker.NotSent)) }},
		{"Hang cannot happen to a worker that is ready", func(o *observed) { crew(o).Now(brokertest.Hang()) }},
		{"no fault cannot happen to a worker that is ready", func(o *observed) { crew(o).Now(brokertest.Fault{}) }},
		{"Interrupted(answered) cannot happen to a call", func(o *observed) { crew(o).Next("", 1, brokertest.Interrupted(broker.Answered)) }},
		{"Killed(0) cannot happen to a call", func(o *observed) { crew(o).Next("", 1, brokertest.Killed(0, "")) }},
		{`Garbage("") cannot happen to a call`, func(o *observed) { crew(o).Next("", 1, brokertest.Garbage("")) }},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			said := observe(t, c.test)
			require.Len(t, said, 1)
			require.Contains(t, said[0], "brokertest: ")
			require.Contains(t, said[0], c.text)
		})
	}
}

// A handler that is still running when the broker is closed fails the test.
func TestHandlersLeftBehindFailTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		said := observe(t, func(o *observed) {
			b := brokertest.New(o, brokertest.Pools{"crew": {Handlers: func(w *brokertest.Worker) {
				brokertest.Handle(w, "deaf", func(context.Context, any) (any, error) { <-release; return nil, nil })
			}}})
			err := b.Call(t.Context(), "crew.deaf", nil, nil, broker.Timeout(time.Millisecond))
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		close(release)
		require.Len(t, said, 1)
		require.Contains(t, said[0], "pool crew: ")
		require.Contains(t, said[0], "a handler still runs")
	})
}
