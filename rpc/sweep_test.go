package rpc_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

// A worker that has answered sleeps until the next call: one look a millisecond later finds no handler, and is the last.
func TestIdleWorkerIsLookedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const looks = time.Millisecond // apart
		_, w, _ := announceWire(t, memoryEnds, serving(1, rpc.HandlerFunc(func(_ context.Context, r *rpc.Request) (any, error) {
			if r.Method == "long" {
				time.Sleep(10 * looks)
			}
			return r.Method, nil
		})))
		for id, method := range []string{"short", "long", "short"} {
			w.send(call, 0, uint64(2*id+2), callBody(t, method, nil))
			synctest.Wait()
			require.Equal(t, 1, sweeping(), "a handler may take long")
			w.expect(reply)
			synctest.Wait()
			time.Sleep(looks)
			synctest.Wait()
			require.Zero(t, sweeping(), "nothing wakes a worker that has nothing to do")
		}
	})
}

// A connection that becomes inactive leaves the sweeper to the others that share it, and has it back with its next call: callers are always seen to
// leave.
func TestSweeperIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := new(rpc.Group)
		idle, idleWire, _ := connectWire(t, ringEnds, 1, rpc.HostOptions{Group: shared})
		busy, busyWire, _ := connectWire(t, ringEnds, 1, rpc.HostOptions{Group: shared})
		leaves := func(host caller, w *wire) {
			ctx, cancelCall := context.WithCancel(t.Context())
			done := background(ctx, host, "m", nil)
			id := w.expect(call).ID
			synctest.Wait() // it reads
			cancelCall()
			start := time.Now()
			require.ErrorIs(t, (<-done).err, context.Canceled)
			require.LessOrEqual(t, time.Since(start), 3*time.Millisecond)
			w.expect(cancel)
			w.send(failed, 0, id, []byte{0x80})
			synctest.Wait()
		}
		for range 10 { // meanwhile the other one becomes inactive
			leaves(busy, busyWire)
			require.Equal(t, 1, sweeping())
		}
		leaves(idle, idleWire)
		time.Sleep(time.Second)
		require.Zero(t, sweeping(), "all are inactive")
		leaves(busy, busyWire)
		leaves(idle, idleWire)
	})
}

// tardy is a host's end on which to write takes longer than it takes the sweep to find nothing to look at.
type tardy struct{ *ringStream }

func (s tardy) TryWrite(p []byte) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return s.ringStream.TryWrite(p)
}

// A caller that comes to wait when nobody sweeps any more has its connection swept: otherwise it would not look at its context before its answer comes.
func TestP43_WaitingAfterTheSweepHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, w, _ := connectWire(t, func(t testing.TB) (stream, stream) {
			hostEnd, workerEnd := ringEnds(t)
			return tardy{hostEnd.(*ringStream)}, workerEnd
		}, 3, rpc.HostOptions{})
		time.Sleep(100 * time.Millisecond) // a goroutine reads
		ctx, cancelCall := context.WithCancel(t.Context())
		done := background(ctx, host, "m", nil)
		w.expect(call)
		synctest.Wait()
		require.Equal(t, 1, sweeping())
		cancelCall()
		start := time.Now()
		require.ErrorIs(t, (<-done).err, context.Canceled)
		require.LessOrEqual(t, time.Since(start), 8*time.Millisecond) // of these 5 to write the cancel
	})
}

// sweeping is how many sweepers run in this bubble. Those of tests that ran before may still be about to end.
func sweeping() (n int) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	own, _, _ := strings.Cut(string(stacks), "\n") // the first is the one that asks
	bubble := own[strings.Index(own, "synctest bubble"):]
	for _, goroutine := range strings.Split(string(stacks), "\n\n") {
		header, frames, _ := strings.Cut(goroutine, "\n")
		if strings.HasSuffix(header, bubble) && strings.Contains(frames, "rpc.(*sweeper).run(") {
			n++
		}
	}
	return n
}
