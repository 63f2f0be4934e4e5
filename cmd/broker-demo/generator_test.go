package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/worker"
)

// load is a generator in a bubble with what it reports to.
type load struct {
	generator
	mu     sync.Mutex
	errors []error
	ends   int
}

// newLoad makes a generator of calls that make has each caller's own for, in a closed loop unless there is a rate.
func newLoad(callers int, rate float64, duration time.Duration, make func() exchange) *load {
	l := &load{}
	l.generator = generator{
		callers: callers, closed: rate == 0, end: time.Now().Add(duration),
		newExchange: make, book: &book{}, latencies: newLatencies(callers),
		failed: func(err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.errors = append(l.errors, err)
		},
		ended: func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.ends++
		},
	}
	l.pace = &closedLoop{end: l.end}
	if rate > 0 {
		l.pace = openLoopInBubble(rate, duration)
	}
	return l
}

// takes is an exchange that takes this long, by the number of the call, and is never cut short.
func takes(long func(number int64) time.Duration) func() exchange {
	return func() exchange {
		return func(_ context.Context, number int64) (int64, error) {
			time.Sleep(long(number))
			return number, nil
		}
	}
}

// requireLatency compares to the three digits that are kept.
func requireLatency(t *testing.T, want time.Duration, got int64, what string) {
	t.Helper()
	require.InEpsilon(t, float64(want), float64(got), 0.002, what)
}

func TestOpenLoopMeasuresFromWhenCallsWereDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// One call a 100 ms, of which the first takes a second: the nine behind it wait for the only caller.
		firstIsSlow := takes(func(number int64) time.Duration {
			if number == 0 {
				return time.Second
			}
			return 0
		})
		l := newLoad(1, 10, time.Second, firstIsSlow)
		l.run(t.Context(), t.Context())
		h := l.latencies.total()
		require.EqualValues(t, 10, h.TotalCount(), "none is left out")
		for n := range 10 {
			requireLatency(t, time.Duration(n+1)*100*time.Millisecond, h.ValueAtPercentile(float64(n+1)*10), "waiting is latency")
		}
		require.Equal(t, 10, l.ends)
	})
}

func TestOpenLoopWithCallersEnoughDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := newLoad(5, 10, 2*time.Second, takes(func(int64) time.Duration { return 450 * time.Millisecond }))
		l.run(t.Context(), t.Context())
		h := l.latencies.total()
		require.EqualValues(t, 20, h.TotalCount())
		requireLatency(t, 450*time.Millisecond, h.Min(), "each takes its time")
		requireLatency(t, 450*time.Millisecond, h.Max(), "and no more")
		require.Equal(t, 1900*time.Millisecond+450*time.Millisecond, time.Since(start))
	})
}

func TestOpenLoopBacklogIsServedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := newLoad(2, 10, time.Second, takes(func(int64) time.Duration { return time.Second }))
		l.run(t.Context(), t.Context())
		require.EqualValues(t, 10, l.latencies.total().TotalCount(), "calls that are late are made all the same")
		require.InDelta(t, 5, time.Since(start).Seconds(), 0.2)
	})
}

func TestClosedLoopCallsAsSoonAsTheLastHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoad(3, 0, time.Second, takes(func(int64) time.Duration { return 100 * time.Millisecond }))
		l.run(t.Context(), t.Context())
		h := l.latencies.total()
		require.EqualValues(t, 30, h.TotalCount())
		requireLatency(t, 100*time.Millisecond, h.Max(), "")
	})
}

// memoryCrew is a crew of one worker in memory, whose echo takes a time.
func memoryCrew(t *testing.T, takes time.Duration) *crew {
	crew, err := newCrew("load", broker.PoolOptions{
		Max: 1, InFlight: 1,
		Start: func(_ process.Command, o process.Options) (*process.Process, error) {
			return process.StartFunc(func(m *process.Memory) int {
				w := worker.New(worker.Options{})
				worker.Handle(w, echoMethod, func(ctx context.Context, in []byte) ([]byte, error) { return in, pause(ctx, takes) })
				if err := w.Serve(context.Background(), m.Stdin, m.Stdout); err != nil {
					return 1
				}
				return 0
			}, o), nil
		},
	})
	require.NoError(t, err)
	return crew
}

func TestOpenLoopOnAWorkerInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crew := memoryCrew(t, 300*time.Millisecond)
		defer func() { require.NoError(t, crew.close()) }()
		// A call every 200 ms, each of which takes 300: the n-th is 100 ms later than the one before, wherever it waits.
		for _, callers := range []int{1, 8} {
			l := newLoad(callers, 5, time.Second, exchanges(&loadOptions{method: echoMethod, size: 16}, crew.pool))
			l.run(t.Context(), t.Context())
			h := l.latencies.total()
			for n := range 5 {
				requireLatency(t, time.Duration(3+n)*100*time.Millisecond, h.ValueAtPercentile(float64(n+1)*20), "")
			}
			require.Empty(t, l.errors)
		}
	})
}

func TestACallThatNeverEndsIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		released := make(chan struct{})
		defer synctest.Wait()
		defer close(released)
		start := time.Now()
		l := newLoad(2, 0, time.Second, func() exchange {
			return func(_ context.Context, number int64) (int64, error) {
				if number == 7 {
					<-released // whatever its context says
					return number, nil
				}
				time.Sleep(100 * time.Millisecond)
				return number, nil
			}
		})
		l.run(t.Context(), t.Context())
		begun, ended, duplicated := l.book.totals()
		require.Equal(t, []int64{1, 0}, []int64{begun - ended, duplicated})
		require.Equal(t, fateOpen, l.book.fate(7))
		require.InDelta(t, (time.Second + lastCalls + leaveTime).Seconds(), time.Since(start).Seconds(), 2*looks.Seconds())
	})
}

func TestCallsThatDoNotEndAreGivenUp(t *testing.T) {
	hangs := func() exchange {
		return func(ctx context.Context, number int64) (int64, error) {
			<-ctx.Done()
			return number, &broker.Error{Class: broker.ClassContext, Delivery: broker.Unknown, Err: context.Cause(ctx)}
		}
	}
	for _, rate := range []float64{0, 100} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			l := newLoad(3, rate, time.Second, hangs)
			l.run(t.Context(), t.Context())
			begun, ended, _ := l.book.totals()
			require.EqualValues(t, 3, begun, "no further calls, although others may be due")
			require.EqualValues(t, 3, ended, "none is lost")
			require.Len(t, l.errors, 3)
			require.ErrorIs(t, l.errors[0], errStuck)
			require.Equal(t, fateUnknown, l.book.fate(0))
			require.InDelta(t, (time.Second + lastCalls).Seconds(), time.Since(start).Seconds(), 2*looks.Seconds())
		})
	}
}

func TestGeneratorIsTold(t *testing.T) {
	for _, rate := range []float64{0, 10} {
		synctest.Test(t, func(t *testing.T) {
			force, endForce := context.WithCancel(t.Context())
			defer endForce()
			drain, endDrain := context.WithCancel(force)
			start := time.Now()
			time.AfterFunc(1050*time.Millisecond, endDrain)
			l := newLoad(1, rate, time.Hour, takes(func(int64) time.Duration { return 100 * time.Millisecond }))
			l.run(drain, force)
			require.Equal(t, 1100*time.Millisecond, time.Since(start), "the call under way is done")
			begun, ended, _ := l.book.totals()
			require.EqualValues(t, 11, begun)
			require.EqualValues(t, 11, ended)
		})
	}
}

func TestClosedLoopPausesWithoutAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := &broker.Error{Class: broker.ClassUnavailable, Delivery: broker.NotSent, Err: errors.New("no")}
		l := newLoad(1, 0, time.Second, func() exchange {
			return func(_ context.Context, number int64) (int64, error) { return number, refused }
		})
		l.run(t.Context(), t.Context())
		require.Len(t, l.errors, int(time.Second/afterRefusal))
		require.Equal(t, fateNotSent, l.book.fate(0))
	})
}

func TestFatesAndClasses(t *testing.T) {
	made := func(class broker.Class, delivery broker.Delivery) error {
		return &broker.Error{Class: class, Delivery: delivery, Err: errors.New("x")}
	}
	tests := []struct {
		err   error
		fate  fate
		class string
	}{
		{nil, fateAnswered, ""},
		{errWrongAnswer, fateFailed, "wrong_answer"},
		{made(broker.ClassRemote, broker.Answered), fateFailed, "remote"},
		{made(broker.ClassInterrupted, broker.NotSent), fateNotSent, "interrupted"},
		{made(broker.ClassInterrupted, broker.Unknown), fateUnknown, "interrupted"},
		{made(broker.ClassContext, broker.Unknown), fateUnknown, "context"},
	}
	var f failures
	for _, test := range tests {
		require.Equal(t, test.fate, fateOf(test.err))
		require.Equal(t, test.class, classOf(test.err))
		if test.err != nil {
			_ = f.add(test.err)
		}
	}
	require.False(t, f.add(errWrongAnswer), "not the first")
	byClass, notSent, unknown := f.counts()
	require.Equal(t, map[string]int64{"wrong_answer": 2, "remote": 1, "interrupted": 2, "context": 1}, byClass)
	require.EqualValues(t, 1, notSent)
	require.EqualValues(t, 2, unknown)
}
