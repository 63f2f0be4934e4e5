package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
)

// Hostile workers do their worst in package testworkers/hostile/modes. These tests say what comes of it: for the call that set them off, for the
// calls beside it, and for the next one.

// crime is one misbehavior in the middle of a call, and what is to come of it.
type crime struct {
	mode  string
	opts  broker.PoolOptions
	out   any  // what the answer to misbehave is to be decoded into; nil: nothing
	leave bool // its caller leaves when it has happened

	class    broker.Class // of the error of misbehave; 0: it is answered
	delivery broker.Delivery
	is       error    // in it; nil: nothing special
	says     []string // in its text

	others    broker.Class // of the errors of the calls in flight beside it; 0: they are answered
	othersSay string
	dies      bool // the next call is served by a new worker; otherwise by the same one
}

// crowd is how many calls a worker has where it has several.
const crowd = 8

// punish runs crimes, each as the only call of its worker and in a crowd.
func punish(t *testing.T, crimes []crime) {
	leavesNothing(t)
	t.Run("crimes", func(t *testing.T) { // ends when all of them have
		for _, c := range crimes {
			for _, inFlight := range []int{1, crowd} {
				t.Run(fmt.Sprintf("%s/%d", c.mode, inFlight), func(t *testing.T) {
					t.Parallel()
					c.run(t, inFlight)
				})
			}
		}
	})
}

func (c crime) run(t *testing.T, inFlight int) {
	c.opts.InFlight = inFlight
	b, heard := hostile(t, c.opts, c.mode)
	first := pidOf(t, b)
	others := holdCalls(t, b, inFlight-1)

	ctx, leave := context.WithCancel(longEnough(t))
	defer leave()
	if c.leave {
		// Ends with the test at the latest.
		go func() {
			heard.await(t.Context(), "about to play "+c.mode)
			leave()
		}()
	}
	c.judge(t, first, b.Call(ctx, "hostile.misbehave", inFlight-1, c.out))
	for range inFlight - 1 {
		c.judgeOther(t, <-others)
	}
	if c.dies && c.leave && inFlight > 1 {
		require.True(t, eventually(func() bool { return gone(first) }), "worker %d is still there", first) // it has places until then
	}
	next := pidOf(t, b)
	require.Equal(t, c.dies, next != first, "the first worker was %d, the next is %d", first, next)
	require.True(t, !c.dies || eventually(func() bool { return gone(first) }), "worker %d is still there", first)
	require.Zero(t, b.Snapshot().Pools["hostile"].Counters.InternalErrors)
}

// judge looks at what became of misbehave.
func (c crime) judge(t *testing.T, pid int, err error) {
	if c.class == 0 {
		require.NoError(t, err)
		return
	}
	t.Log(err)
	failed := failure(t, err)
	require.Equal(t, c.class, failed.Class, "%v", err)
	require.Equal(t, c.delivery, failed.Delivery, "%v", err)
	require.Equal(t, pid, failed.PID)
	require.Equal(t, 1, failed.Attempts)
	if c.is != nil {
		require.ErrorIs(t, err, c.is)
	}
	for _, text := range c.says {
		require.Contains(t, err.Error(), text)
	}
	if c.class == broker.ClassInterrupted {
		require.Contains(t, err.Error(), "stderr: about to play "+c.mode)
	}
}

// judgeOther looks at what became of a call that was in flight beside it.
func (c crime) judgeOther(t *testing.T, err error) {
	if c.others == 0 {
		require.NoError(t, err)
		return
	}
	failed := failure(t, err)
	require.Equal(t, c.others, failed.Class, "%v", err)
	require.Equal(t, broker.Unknown, failed.Delivery, "%v", err) // the worker has read it
	require.Contains(t, err.Error(), c.othersSay)
}

// failure is the *Error that a call failed with.
func failure(t *testing.T, err error) *broker.Error {
	t.Helper()
	var failed *broker.Error
	require.ErrorAs(t, err, &failed)
	return failed
}

// hostile makes a broker with one worker at a time of that mode, which is closed after the test, and returns what it logs.
func hostile(t *testing.T, o broker.PoolOptions, args ...string) (*broker.Broker, *ear) {
	heard := newEar()
	b, err := broker.New(broker.Options{
		Pools: map[string]broker.PoolOptions{"hostile": hostileOptions(o, args...)},
		Log:   heard.logger(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b, heard
}

func hostileOptions(o broker.PoolOptions, args ...string) broker.PoolOptions {
	o.Command = broker.Command{Path: os.Args[0], Args: args, Env: append(os.Environ(), envPlay+"=hostile")}
	o.Max = 1
	o.Restart = broker.Restart{Min: time.Millisecond, Max: 5 * time.Millisecond}
	return o
}

// longEnough is the context of calls that are to end before it does.
func longEnough(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// pidOf makes a good call and returns who served it.
func pidOf(t *testing.T, b *broker.Broker) int {
	var got struct {
		_msgpack struct{} `msgpack:",as_array"`
		PID      int
		Text     string
	}
	require.NoError(t, b.Call(longEnough(t), "hostile.echo", "an echo", &got))
	require.Equal(t, "an echo", got.Text)
	return got.PID
}

// holdCalls makes calls that are answered when misbehave is over.
func holdCalls(t *testing.T, b *broker.Broker, n int) <-chan error {
	errs := make(chan error, max(n, 1))
	for range n {
		// Ends with the call, which has a deadline.
		go func() { errs <- b.Call(longEnough(t), "hostile.hold", nil, nil) }()
	}
	return errs
}

// leavesNothing sees to it that after the test no child is left, nor more goroutines and descriptors than now.
func leavesNothing(t *testing.T) {
	before := stock{runtime.NumGoroutine(), descriptors()}
	t.Cleanup(func() { require.Empty(t, before.leftovers(), "left behind") })
}

// ear is where a broker's log goes. It can be waited for what is in it.
type ear struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed, and made anew, when there is more
}

func (e *ear) logger() *slog.Logger { return slog.New(slog.NewTextHandler(e, nil)) }

func newEar() *ear { return &ear{more: make(chan struct{})} }

// maxHeard bounds what is kept, in bytes: some workers say a lot.
const maxHeard = 64 << 10

func (e *ear) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.text.Len() < maxHeard {
		e.text.Write(b)
		close(e.more)
		e.more = make(chan struct{})
	}
	return len(b), nil
}

// await returns when the text has been logged, or ctx ends, and says which.
func (e *ear) await(ctx context.Context, text string) bool {
	for {
		e.mu.Lock()
		heard, more := strings.Contains(e.text.String(), text), e.more
		e.mu.Unlock()
		if heard {
			return true
		}
		select {
		case <-more:
		case <-ctx.Done():
			return false
		}
	}
}
