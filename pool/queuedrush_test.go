package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// inEachWorld runs a scenario in real time, with workers in memory and with real ones. With the latter callers read for themselves and each other, and
// what the reader sends is gathered.
func inEachWorld(t *testing.T, o Options, places int, scenario func(t *testing.T, c *crew)) {
	t.Helper()
	o.Restart, o.IdleTimeout = Restart{Min: time.Millisecond, Max: 10 * time.Millisecond}, -1
	t.Run("memory", func(t *testing.T) {
		o := o
		o.Dialect = &native{}
		scenario(t, newCrewOf(t, o, func(int) process.Func { return speakers[1].worker(places, handle) }))
	})
	t.Run("processes", func(t *testing.T) {
		o := o
		o.Dialect = &native{}
		env := append(os.Environ(), "GORACE=atexit_sleep_ms=0", fmt.Sprint(smokePlaces, "=", places))
		o.Command = process.Command{Self: "smoke", Env: env}
		c := &crew{t: t}
		o.Start = func(command process.Command, po process.Options) (*process.Process, error) {
			proc, err := process.Start(command, po)
			if err == nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.procs = append(c.procs, proc)
			}
			return proc, err
		}
		c.Pool = newCrewOf(t, o, nil).Pool
		if err := c.Ready(t.Context()); errors.Is(err, errors.ErrUnsupported) {
			t.Skip("real processes are not supported on this system")
		}
		scenario(t, c)
	})
}

// comesToRest waits until every place is free, and checks that nothing is left.
func (c *crew) comesToRest() {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		for _, w := range c.Snapshot().Workers {
			if w.InFlight != 0 {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
	c.settled()
}

// TestQueued_APlaceIsFreeBeforeItsCallerKnows: where nobody may wait, as many callers as there are places always find one.
func TestQueued_APlaceIsFreeBeforeItsCallerKnows(t *testing.T) {
	const places, each = 4, 2000
	inEachWorld(t, Options{Queue: -1, Min: 1, Max: 1}, places, func(t *testing.T, c *crew) {
		require.NoError(t, c.Ready(t.Context()))
		var callers sync.WaitGroup
		for caller := range places {
			callers.Go(func() {
				for i := range each {
					text := fmt.Sprint(caller, "/", i)
					var got string
					if err := c.Call(t.Context(), "echo", text, &got, CallOptions{}); err != nil || got != text {
						t.Errorf("call %s: %q, %v", text, got, err)
						return
					}
				}
			})
		}
		callers.Wait()
		c.comesToRest()
	})
}

// TestQueued_EveryoneIsServed by few places, each with the answer to the own call.
func TestQueued_EveryoneIsServed(t *testing.T) {
	const callers, each = 64, 40
	inEachWorld(t, Options{Min: 2, Max: 2}, 4, func(t *testing.T, c *crew) {
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				for i := range each {
					text := fmt.Sprint(caller, "/", i)
					if i%20 == 0 {
						text = long(text, 300<<10)
					}
					var got string
					if err := c.Call(t.Context(), "echo", text, &got, CallOptions{}); err != nil || got != text {
						t.Errorf("call %s: %s, %v", name(text), name(got), err)
						return
					}
				}
			})
		}
		all.Wait()
		c.comesToRest()
		require.NoError(t, c.Close())
	})
}

// TestQueued_Rush: many callers for few places, some of whom leave, while workers are killed.
func TestQueued_Rush(t *testing.T) {
	const callers = 64
	inEachWorld(t, Options{Min: 2, Max: 2}, 4, func(t *testing.T, c *crew) {
		stop := make(chan struct{})
		var killer, all sync.WaitGroup
		killer.Go(func() {
			for tick := time.NewTicker(50 * time.Millisecond); ; {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				procs := c.launched()
				_ = procs[max(0, len(procs)-1-rand.IntN(2))].Signal(process.KILL)
			}
		})
		var served, left, again atomic.Int64
		end := time.Now().Add(400 * time.Millisecond)
		for caller := range callers {
			all.Go(func() {
				for i := 0; time.Now().Before(end); i++ {
					text := fmt.Sprint(caller, "/", i)
					if rand.IntN(100) == 0 {
						text = long(text, 300<<10)
					}
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if rand.IntN(4) == 0 {
						ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
					}
					var got string
					err := c.Call(ctx, "echo", text, &got, CallOptions{Attempt: 1 + rand.IntN(2)})
					cancel()
					var e *Error
					switch {
					case err == nil && got == text:
						served.Add(1)
					case err == nil:
						t.Errorf("call %s was answered with %s", name(text), name(got))
					case errors.Is(err, ErrTransient):
						again.Add(1)
					case errors.As(err, &e) && e.Class == ClassContext && ctx != t.Context():
						left.Add(1)
					default:
						t.Errorf("call %s: %v", name(text), err)
					}
				}
			})
		}
		all.Wait()
		close(stop)
		killer.Wait()
		t.Logf("%d calls served, %d callers left, %d calls to be repeated, %d processes", served.Load(), left.Load(), again.Load(), len(c.launched()))
		require.NotZero(t, served.Load())
		c.comesToRest()
		require.NoError(t, c.Close())
		require.Zero(t, c.Snapshot().Counters.InternalErrors)
	})
}

// TestQueued_OutOfPatienceWithMuchToSay: calls that are too large to be started in their callers' place, whose callers lose patience at any moment.
func TestQueued_OutOfPatienceWithMuchToSay(t *testing.T) {
	inEachWorld(t, Options{Min: 1, Max: 1, QueueTimeout: time.Millisecond}, 4, func(t *testing.T, c *crew) {
		late := time.AfterFunc(20*time.Second, func() { panic("the pool hangs") }) // as would Close
		defer late.Stop()
		var all sync.WaitGroup
		end := time.Now().Add(500 * time.Millisecond)
		for caller := range 16 {
			all.Go(func() {
				text := long(fmt.Sprint(caller), 300<<10)
				for time.Now().Before(end) {
					if err := c.Call(t.Context(), "echo", text, nil, CallOptions{}); err != nil {
						if !errors.Is(err, ErrQueueTimeout) {
							t.Error(err)
						}
					}
				}
			})
		}
		all.Wait()
		c.comesToRest()
	})
}
