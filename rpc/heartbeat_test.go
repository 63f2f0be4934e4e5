package rpc_test

import (
	"cmp"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// busyHello is that of a worker which promises to answer pings while calls run.
var busyHello = map[string]any{"inflight": 8, "caps": []string{"busy"}}

// look is how late a hang may be noticed, in periods: where something came since the last look.
const look = 8

// A worker that takes a call and does nothing more is pinged after one period and given up after three, not a tick before or after.
func TestHeartbeat_HangIsNoticedAfterThreePeriods(t *testing.T) {
	for name, period := range map[string]time.Duration{"default": 0, "short": 100 * time.Millisecond, "odd": 7*time.Second + 13} {
		for _, hold := range []bool{false, true} {
			bubbles(t, func(t *testing.T, ends makeEnds) {
				host, w, freed := connectWireAs(t, ends, busyHello, rpc.HostOptions{Heartbeat: period, HoldLost: hold})
				period := cmp.Or(period, 15*time.Second)
				time.Sleep(time.Hour)
				start := time.Now()
				done := background(t.Context(), host, "m", nil)
				w.expect(call)
				require.Len(t, w.expect(ping).Body, 1, name)
				require.Equal(t, period, time.Since(start), name)
				<-host.Done()
				require.Equal(t, 3*period, time.Since(start), name)
				require.ErrorIs(t, host.Err(), rpc.ErrHang)
				require.EqualError(t, host.Err(), fmt.Sprintf("the worker hangs: it has calls, nothing came from it for %v, and it did not answer a ping", (3*period).Round(time.Millisecond)))
				if hold {
					synctest.Wait()
					require.Empty(t, done, "the owner knows better why")
					host.Abort(host.Err())
				}
				d, cause := delivery(t, (<-done).err)
				require.Equal(t, rpc.Unknown, d)
				require.ErrorIs(t, cause, rpc.ErrHang)
				<-freed
			})
		}
	}
}

// Whatever comes is a sign of life: a pong, a frame that nobody asked for, a single byte. The count begins anew with it, and at no other time.
func TestHeartbeat_AnythingIsLife(t *testing.T) {
	signs := map[string]func(w *wire){
		"pong":  func(w *wire) { w.send(pong, 0, 0, []byte{0x00}) },
		"pad":   func(w *wire) { w.send(pad, framing.Ignorable, 0, nil) },
		"bytes": func(w *wire) { w.write(frame(pad, framing.Ignorable, 0, make([]byte, 100))[:1]) },
	}
	for name, sign := range signs {
		bubbles(t, func(t *testing.T, ends makeEnds) {
			const period = 800 * time.Millisecond
			host, w, _ := connectWireAs(t, ends, busyHello, rpc.HostOptions{Heartbeat: period, FrameStall: -1})
			done := background(t.Context(), host, "m", nil)
			w.expect(call)
			w.expect(ping)
			time.Sleep(2*period - 1)
			require.NoError(t, host.Err())
			start := time.Now()
			sign(w)
			w.expect(ping)
			again := time.Since(start)
			require.GreaterOrEqual(t, again, period, name)
			require.LessOrEqual(t, again, period+period/look, name)
			require.ErrorIs(t, (<-done).err, rpc.ErrHang)
			require.GreaterOrEqual(t, time.Since(start), 3*period, name)
			require.LessOrEqual(t, time.Since(start), 3*period+period/look, name)
			require.Zero(t, host.Stats().Late)
		})
	}
}

// A worker that answers every ping may take as long as it likes, and each ping is one.
func TestHeartbeat_SlowIsNotHung(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWireAs(t, ends, busyHello, rpc.HostOptions{Heartbeat: time.Second})
		start := time.Now()
		done := background(t.Context(), host, "m", nil)
		id := w.expect(call).ID
		for range 100 {
			m := w.expect(ping)
			time.Sleep(1900 * time.Millisecond)
			w.send(pong, 0, 0, m.Body)
		}
		require.Greater(t, time.Since(start), 290*time.Second)
		w.send(reply, 0, id, []byte{0x01})
		require.NoError(t, (<-done).err)
		require.Zero(t, host.Stats())
	})
}

// The SDK's end answers while its handlers run, wherever they do.
func TestHeartbeat_BusyHandlersAreNotHung(t *testing.T) {
	for _, inFlight := range []int{1, 4} {
		bubbles(t, func(t *testing.T, ends makeEnds) {
			slow := rpc.HandlerFunc(func(context.Context, *rpc.Request) (any, error) {
				time.Sleep(100 * time.Second)
				return nil, nil
			})
			p := connect(t, ends, setup{
				inFlight: inFlight, handler: slow,
				hello: rpc.Hello{Caps: []string{rpc.CapBusy}}, host: rpc.HostOptions{Heartbeat: time.Second},
			})
			start := time.Now()
			var all []<-chan result
			for range inFlight {
				all = append(all, background(t.Context(), p.host, "m", nil))
			}
			for _, done := range all {
				require.NoError(t, (<-done).err, inFlight)
			}
			require.Less(t, time.Since(start), 101*time.Second)
		})
	}
}

// Without a call there is neither ping nor suspicion, however long that is, and what was silence then counts for nothing later.
func TestHeartbeat_IdleWorkersAreLeftAlone(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWireAs(t, ends, busyHello, rpc.HostOptions{Heartbeat: time.Second})
		answer := func() {
			done := background(t.Context(), host, "m", nil)
			w.send(reply, 0, w.expect(call).ID, []byte{0x01}) // would fail for a ping
			require.NoError(t, (<-done).err)
		}
		answer()
		time.Sleep(time.Hour)
		answer()
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		asked := make(chan error, 1)
		go func() { asked <- host.Ping(ctx) }() // ends with ctx: a ping of the owner's is no call
		w.expect(ping)
		time.Sleep(50 * time.Millisecond)
		start := time.Now()
		done := background(t.Context(), host, "m", nil)
		w.expect(call)
		w.expect(ping)
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, (<-done).err, rpc.ErrHang)
		require.ErrorIs(t, <-asked, rpc.ErrHang)
	})
}

// A call that comes while the timer of an earlier one runs out gets its full time.
func TestHeartbeat_CountsFromTheCall(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		const period = 800 * time.Millisecond
		host, w, _ := connectWireAs(t, ends, busyHello, rpc.HostOptions{Heartbeat: period})
		done := background(t.Context(), host, "m", nil)
		w.send(reply, 0, w.expect(call).ID, []byte{0x01})
		require.NoError(t, (<-done).err)
		time.Sleep(period/look - 1)
		start := time.Now()
		done = background(t.Context(), host, "m", nil)
		w.expect(call)
		w.expect(ping)
		require.GreaterOrEqual(t, time.Since(start), period)
		require.LessOrEqual(t, time.Since(start), period+period/look)
		require.ErrorIs(t, (<-done).err, rpc.ErrHang)
	})
}

// Only who promised to answer is suspected, and only where that is wanted.
func TestHeartbeat_CanBeOff(t *testing.T) {
	for name, c := range map[string]struct {
		hello  map[string]any
		period time.Duration
	}{
		"not announced": {map[string]any{"caps": []string{"cancel", "started"}}, time.Second},
		"negative":      {busyHello, -1},
	} {
		bubbles(t, func(t *testing.T, ends makeEnds) {
			host, w, _ := connectWireAs(t, ends, c.hello, rpc.HostOptions{Heartbeat: c.period})
			done := background(t.Context(), host, "m", nil)
			id := w.expect(call).ID
			time.Sleep(24 * time.Hour)
			w.send(reply, 0, id, []byte{0x01})
			require.NoError(t, (<-done).err, name)
		})
	}
}

// A canceled call that the worker has not ended is one that it has.
func TestHeartbeat_CanceledCallsCount(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWireAs(t, ends, busyHello, rpc.HostOptions{Heartbeat: time.Second})
		ctx, cancelCall := context.WithCancel(t.Context())
		done := background(ctx, host, "m", nil)
		w.expect(call)
		cancelCall()
		require.ErrorIs(t, (<-done).err, context.Canceled)
		w.expect(cancel)
		w.expect(ping)
		<-freed
		require.ErrorIs(t, host.Err(), rpc.ErrHang)
	})
}

// Callers that come and go are no sign of the worker's life.
func TestHeartbeat_CallersAreNoLife(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWireAs(t, ends, busyHello, rpc.HostOptions{Heartbeat: time.Second})
		first := background(t.Context(), host, "m", nil)
		go w.drop() // ends with the stream
		start := time.Now()
		for host.Err() == nil {
			ctx, cancelCall := context.WithTimeout(t.Context(), 70*time.Millisecond+1) // never when the host looks
			require.Error(t, host.Call(ctx, "m", nil, nil, rpc.CallOptions{}))
			cancelCall()
		}
		require.ErrorIs(t, (<-first).err, rpc.ErrHang)
		require.InDelta(t, 3*time.Second, time.Since(start), float64(100*time.Millisecond))
	})
}

// While the worker reads what is written to it, however slowly, it is not silent: the ping stands behind that.
func TestHeartbeat_SlowReaderIsNotHung(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWireAs(t, ends, busyHello, rpc.HostOptions{Heartbeat: time.Second, WriteStall: 3 * time.Second})
		done := background(t.Context(), host, "m", make([]byte, 4<<20))
		w.readSlowly(12, 2900*time.Millisecond)
		require.NoError(t, host.Err())
		_ = host.Close()
		require.Error(t, (<-done).err)
	})
}
