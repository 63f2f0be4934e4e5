package rpc_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

// A handler that ends its goroutine ends the one that reads. Another one goes on at once, also with Close: nothing waits until the sweep has noticed.
func TestExitOfAHandlerIsNotWaitedFor(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		worker, w, _ := announceWire(t, ends, serving(1, rpc.HandlerFunc(func(_ context.Context, r *rpc.Request) (any, error) {
			if r.Method == "exit" {
				runtime.Goexit()
			}
			return r.Method, nil
		})))
		start := time.Now()
		w.send(call, 0, 2, callBody(t, "exit", nil))
		code, _ := answer(t, w.next())
		require.Equal(t, rpc.CodePanic, code)
		w.send(call, 0, 4, callBody(t, "next", nil))
		w.expect(reply)
		w.send(call, 0, 6, callBody(t, "exit", nil))
		_, _ = answer(t, w.next())
		synctest.Wait()
		require.NoError(t, worker.Close())
		require.Zero(t, time.Since(start))
	})
}
