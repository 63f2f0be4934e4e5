package pool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// TestStress has many callers use a crew that is being killed, in real time and with the native dialect: every call ends, with the right
// answer or an error that says that it may be tried again, and nothing is lost on the way.
func TestStress(t *testing.T) {
	const callers, each = 32, 200
	c := newCrewOf(t, Options{Dialect: &native{}, Max: 4, Restart: Restart{Min: time.Millisecond, Max: 10 * time.Millisecond}}, func(int) process.Func {
		return speakers[1].worker(4, handle)
	})
	stop := make(chan struct{})
	var killer, calls sync.WaitGroup
	killer.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
			select {
			case <-stop:
				return
			default:
			}
			if procs := c.launched(); len(procs) > 0 {
				_ = procs[max(0, len(procs)-1-rand.IntN(4))].Signal(process.KILL)
			}
		}
	})
	var again atomic.Int64
	for caller := range callers {
		calls.Go(func() {
			for i := range each {
				text := fmt.Sprint(caller, "/", i)
				err := c.Pool.Call(t.Context(), "echo", text, nil, CallOptions{})
				for attempt := 2; err != nil; attempt++ {
					if !errors.Is(err, ErrTransient) {
						t.Errorf("call %s: %v", text, err)
						return
					}
					again.Add(1)
					var got string
					if err = c.Call(t.Context(), "echo", text, &got, CallOptions{Attempt: attempt}); err == nil && got != text {
						t.Errorf("call %s was answered with %s", text, got)
					}
				}
			}
		})
	}
	calls.Wait()
	close(stop)
	killer.Wait()
	t.Logf("%d processes, %d calls repeated", len(c.launched()), again.Load())
	require.Eventually(t, func() bool {
		for _, w := range c.Snapshot().Workers {
			if w.InFlight != 0 {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, c.Close())
	require.Zero(t, c.Snapshot().Counters.InternalErrors)
}
