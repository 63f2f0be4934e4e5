package rpc_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

// Callers that wait while another one reads look at their contexts only after a while. It is a short one, for all of them.
func TestP43_WaitingCallersLeaveSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, soon = 5, 3 * time.Millisecond
		host, w, _ := connectWire(t, ringEnds, callers+1, rpc.HostOptions{})
		ctx, cancelAll := context.WithCancel(t.Context())
		var done []<-chan result
		for range callers {
			done = append(done, background(ctx, host, "m", nil))
			w.expect(call)
		}
		stays := background(t.Context(), host, "m", nil)
		last := w.expect(call)
		cancelAll() // most of them have not begun to look
		start := time.Now()
		for _, d := range done {
			require.ErrorIs(t, (<-d).err, context.Canceled)
		}
		require.Less(t, time.Since(start), soon)
		w.expect(cancel)
		w.send(reply, 0, last.ID, []byte{0x01})
		require.NoError(t, (<-stays).err)
	})
}

// Nor do they wait longer where nobody reads any more: calls held at the end of the stream are still their callers' to leave.
func TestP43_WaitingCallersLeaveAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, w, _ := connectWire(t, ringEnds, 3, rpc.HostOptions{HoldLost: true})
		ctx, cancelAll := context.WithCancel(t.Context())
		a, b := background(ctx, host, "m", nil), background(ctx, host, "m", nil)
		w.expect(call)
		w.expect(call)
		require.NoError(t, w.s.Close())
		<-host.Done()
		synctest.Wait()
		cancelAll()
		start := time.Now()
		require.ErrorIs(t, (<-a).err, context.Canceled)
		require.ErrorIs(t, (<-b).err, context.Canceled)
		require.Zero(t, time.Since(start))
	})
}
