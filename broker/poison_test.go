package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// ward is a crew whose workers take four calls at a time, and end when they get one that is poison.
type ward struct {
	mu   sync.Mutex
	seen map[string][]int // of each call, how many ran on its worker with it, itself included
}

// worker answers victims after a second. What is poison has it end after half of that.
func (w *ward) worker(m *process.Memory) int {
	running := 0
	return server(rpc.WorkerOptions{Hello: rpc.Hello{InFlight: 4, Caps: []string{rpc.CapBusy}}}, func(a *act) (any, error) {
		var in string
		if err := a.req.Decode(&in); err != nil {
			return nil, err
		}
		w.note(&running, +1, "")
		time.Sleep(time.Second / 2)
		w.note(&running, 0, in)
		switch in {
		case "exit":
			a.exit <- 3
		case "garbage":
			fmt.Fprint(a.Stdout, "garbage")
		case "mute":
			_ = a.Stdout.Close()
		default:
			time.Sleep(time.Second / 2)
			w.note(&running, -1, "")
			return in, nil
		}
		return never(a)
	})(m)
}

// note counts the calls that run on a worker, and writes the count down for one of them.
func (w *ward) note(running *int, change int, in string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*running += change
	if in != "" {
		w.seen[in] = append(w.seen[in], *running)
	}
}

// A call that crashed a worker with others is repeated alone, as they are: they are served then, and it is named after three more crashes. Nobody
// else's call is hurt a second time.
func TestP14_PoisonIsFoundOut(t *testing.T) {
	for _, poison := range []string{"exit", "garbage", "mute"} {
		synctest.Test(t, func(t *testing.T) {
			w := &ward{seen: map[string][]int{}}
			s := newScene(t, &errorCase{play: w.worker})
			call := func(in string) <-chan error {
				done := make(chan error, 1)
				go func() { done <- s.Call(t.Context(), "images.resize", in, nil, broker.Idempotent()) }() // ends with the call
				synctest.Wait()
				return done
			}
			bad := call(poison)
			var victims []<-chan error
			for i := range 3 {
				victims = append(victims, call(fmt.Sprint("victim ", i)))
			}
			for _, done := range victims {
				require.NoError(t, <-done)
			}
			err := <-bad
			require.ErrorIs(t, err, broker.ErrPoison)
			require.ErrorContains(t, err, "interrupted (attempt 4): poison: this call has crashed 3 workers; the last one: ")
			require.NotErrorIs(t, err, broker.ErrTransient)
			require.False(t, broker.Retryable(err))
			failed := asBrokerError(t, err)
			require.Equal(t, broker.ClassInterrupted, failed.Class)
			require.Equal(t, broker.Unknown, failed.Delivery)

			require.Equal(t, []int{4, 1, 1, 1}, w.seen[poison], poison)
			for i := range 3 {
				require.Equal(t, []int{4, 1}, w.seen[fmt.Sprint("victim ", i)], poison)
			}
			require.NoError(t, <-call("another")) // the dead are buried by then
			shot := s.Snapshot().Pools["images"]
			require.EqualValues(t, 1, shot.Poisoned)
			require.EqualValues(t, 4, shot.Counters.Deaths)
			require.EqualValues(t, 3+3, shot.Retries)
			require.Zero(t, shot.Counters.InternalErrors)
		})
	}
}

// Calls that were alone from the first are poison after three crashes, whatever their worker could take.
func TestP14_ThreeCrashesArePoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &ward{seen: map[string][]int{}}
		s := newScene(t, &errorCase{play: w.worker})
		err := s.Call(t.Context(), "images.resize", "exit", nil, broker.Idempotent())
		require.ErrorIs(t, err, broker.ErrPoison)
		require.Equal(t, 3, asBrokerError(t, err).Attempts)
		require.Equal(t, []int{1, 1, 1}, w.seen["exit"])
		var exit broker.Exit
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 3, exit.Report.Code)
	})
}

// A hang is the worker's own doing, too: to try it on would cost three times Heartbeat each time.
func TestP14_HangsArePoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, &errorCase{play: freezes})
		start := time.Now()
		err := s.resize(t.Context(), broker.Idempotent())
		require.ErrorIs(t, err, broker.ErrPoison)
		require.ErrorIs(t, err, rpc.ErrHang)
		require.GreaterOrEqual(t, time.Since(start), 3*45*time.Second)
		require.Len(t, s.procs, 3)
	})
}

// What we ourselves end a worker for does not speak against the calls that it has. They are repeated within another bound, and not alone.
func TestP14_OurOwnKillsAreNoCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, &errorCase{play: server(rpc.WorkerOptions{}, func(a *act) (any, error) {
			body := "\x82\xa6reason\xa6enough\xa7last_id\x02" // and does not leave within RetireGrace
			_, _ = a.Stdout.Write(append(framing.Header{Type: 0x23, Length: uint32(len(body))}.Append(nil), body...))
			return never(a)
		})})
		err := s.resize(t.Context(), broker.Idempotent())
		require.NotErrorIs(t, err, broker.ErrPoison)
		require.ErrorIs(t, err, broker.ErrTransient)
		require.Equal(t, 11, asBrokerError(t, err).Attempts)
		require.Len(t, s.procs, 11)
		require.Zero(t, s.Snapshot().Pools["images"].Poisoned)
	})
}

// Calls that may not be executed twice are not repeated, and so never found to be poison; nor are those that no worker has read.
func TestP14_OnlyRepeatedCallsArePoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &ward{seen: map[string][]int{}}
		s := newScene(t, &errorCase{play: w.worker})
		for range 5 {
			err := s.Call(context.Background(), "images.resize", "exit", nil)
			require.NotErrorIs(t, err, broker.ErrPoison)
			require.Equal(t, 1, asBrokerError(t, err).Attempts)
			time.Sleep(time.Hour) // until workers are started again
		}
	})
}

// A caller leaves when its context ends, in a repetition, and while that waits for a worker. What an earlier attempt may have done is not forgotten.
func TestP15_RepeatedCallsHeedTheirContext(t *testing.T) {
	// A worker lives for half a second, and the next one comes after 2 s more, drawn by up to a tenth.
	for workers, after := range map[int]time.Duration{1: 1500 * time.Millisecond, 2: 2750 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			w := &ward{seen: map[string][]int{}}
			s := newScene(t, &errorCase{play: w.worker, options: broker.PoolOptions{Restart: broker.Restart{Min: 2 * time.Second}}})
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			start := time.Now()
			err := s.Call(ctx, "images.resize", "exit", nil, broker.Idempotent())
			require.Equal(t, after, time.Since(start))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			failed := asBrokerError(t, err)
			require.Equal(t, broker.ClassContext, failed.Class)
			require.Equal(t, broker.Unknown, failed.Delivery)
			require.Equal(t, 2, failed.Attempts)
			require.Len(t, s.procs, workers)
		})
	}
}
