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

// sweeping is how many sweepers run in this bubble. Those of tests that ran before may still be about to end.
func sweeping() (n int) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	own, _, _ := strings.Cut(string(stacks), "\n") // the first is the one that asks
	bubble := own[strings.Index(own, "synctest bubble"):]
	for _, goroutine := range strings.Split(string(stacks), "\n\n") {
		header, frames, _ := strings.Cut(goroutine, "\n")
		if strings.HasSuffix(header, bubble) && strings.Contains(frames, "rpc.(*Sweeper).run(") {
			n++
		}
	}
	return n
}
