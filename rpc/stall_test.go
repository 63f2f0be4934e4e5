package rpc_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// slack is what the sweep may take to notice what is due.
const slack = 5 * time.Millisecond

func passed(t testing.TB, start time.Time, want time.Duration) {
	t.Helper()
	got := time.Since(start)
	require.GreaterOrEqual(t, got, want)
	require.LessOrEqual(t, got, want+slack)
}

// P6: a worker that does not read costs its callers no more than WriteStall, whether they have a context that ends or not.
func TestP6_WriteStall(t *testing.T) {
	for _, hold := range []bool{false, true} {
		bubbles(t, func(t *testing.T, ends makeEnds) {
			host, _, freed := connectWire(t, ends, 8, rpc.HostOptions{WriteStall: 3 * time.Second, HoldLost: hold})
			start := time.Now()
			whole := background(t.Context(), host, "m", make([]byte, 200<<10))
			synctest.Wait()
			cut := background(t.Context(), host, "m", make([]byte, 1<<20))
			<-host.Done()
			passed(t, start, 3*time.Second)
			require.ErrorIs(t, host.Err(), rpc.ErrWriteStall)
			require.ErrorContains(t, host.Err(), "does not read its stdin: nothing of what is being written to it was read for 3s")
			if hold {
				require.Empty(t, whole, "the owner knows better why")
				host.Abort(host.Err())
			}
			d, cause := delivery(t, (<-cut).err)
			require.Equal(t, rpc.NotSent, d)
			require.ErrorIs(t, cause, rpc.ErrWriteStall)
			d, _ = delivery(t, (<-whole).err)
			require.Equal(t, rpc.Unknown, d, "it is just being written")
			<-freed
			<-freed
			d, cause = delivery(t, host.Call(t.Context(), "m", nil, nil, rpc.CallOptions{}))
			require.Equal(t, rpc.NotSent, d)
			require.ErrorIs(t, cause, rpc.ErrWriteStall)
		})
	}
}

// mute is a ring whose other side does not let it see what has been read.
type mute struct {
	*ringStream
	lives chan struct{}
}

func (m mute) Unread() (int, bool, error) {
	<-m.lives
	return 0, false, nil
}

// P50: who asks what has been read may have to wait until the worker is dead. Nobody else waits with it.
func TestP50_NobodyWaitsForUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lives := make(chan struct{})
		muteEnds := func(t testing.TB) (host, worker stream) {
			host, worker = ringEnds(t)
			return mute{host.(*ringStream), lives}, worker
		}
		host, _, _ := connectWire(t, muteEnds, 8, rpc.HostOptions{WriteStall: 3 * time.Second})
		start := time.Now()
		first := background(t.Context(), host, "m", make([]byte, 200<<10))
		ctx, cancelCall := context.WithTimeout(t.Context(), time.Second)
		defer cancelCall()
		_, cause := delivery(t, host.Call(ctx, "m", nil, nil, rpc.CallOptions{}))
		passed(t, start, time.Second)
		require.ErrorIs(t, cause, context.DeadlineExceeded)
		_, cause = delivery(t, (<-first).err)
		passed(t, start, 3*time.Second)
		require.ErrorIs(t, cause, rpc.ErrWriteStall)
		close(lives)
	})
}

// readSlowly reads 300 KiB each time that so much time has passed.
func (w *wire) readSlowly(times int, every time.Duration) {
	for range times {
		time.Sleep(every)
		for n := 0; n < 300<<10; {
			some, err := w.s.Read(make([]byte, 32<<10))
			require.NoError(w.t, err)
			n += some
		}
	}
}

func TestSlowReaderIsNoStall(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{WriteStall: 3 * time.Second})
		done := background(t.Context(), host, "m", make([]byte, 4<<20))
		w.readSlowly(12, 2900*time.Millisecond)
		require.NoError(t, host.Err())
		_ = host.Close()
		require.Error(t, (<-done).err)
	})
}

// The same where many calls have gathered, which are written piece by piece: that one of the pieces was taken is seen even where the stream does not
// tell what has been read.
func TestSlowReaderOfManyCallsIsNoStall(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 16, rpc.HostOptions{WriteStall: 300 * time.Millisecond})
		var calls []<-chan result
		for range 16 { // 3 MB
			calls = append(calls, background(t.Context(), host, "m", make([]byte, 200<<10)))
		}
		w.readSlowly(8, 290*time.Millisecond)
		require.NoError(t, host.Err())
		_ = host.Close()
		for _, done := range calls {
			require.Error(t, (<-done).err)
		}
	})
}

// P3: half a frame is not waited for without end, whoever reads.
func TestP3_FrameStall(t *testing.T) {
	for name, part := range map[string]int{"header": 7, "payload": 16 + 50, "last byte": 16 + 99} {
		bubbles(t, func(t *testing.T, ends makeEnds) {
			host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{FrameStall: 3 * time.Second})
			done := background(t.Context(), host, "m", nil)
			b := frame(reply, 0, w.expect(call).ID, make([]byte, 100))
			go w.drop()
			start := time.Now()
			w.write(b[:part])
			d, cause := delivery(t, (<-done).err)
			passed(t, start, 3*time.Second)
			require.Equal(t, rpc.Unknown, d)
			require.ErrorIs(t, cause, rpc.ErrFrameStall, name)
			require.ErrorIs(t, host.Err(), rpc.ErrFrameStall)
		})
	}
}

// An idle connection may break off in a frame, too.
func TestP3_FrameStallWithoutACall(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{FrameStall: 3 * time.Second})
		start := time.Now()
		w.write(frame(reply, 0, 2, nil)[:15])
		<-host.Done()
		require.Less(t, time.Since(start), 4*time.Second)
		require.ErrorIs(t, host.Err(), rpc.ErrFrameStall)
	})
}

func TestSlowFrameIsNoStall(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{FrameStall: 3 * time.Second})
		done := background(t.Context(), host, "m", nil)
		for _, b := range frame(reply, 0, w.expect(call).ID, []byte{0x2a}) {
			time.Sleep(2900 * time.Millisecond)
			w.write([]byte{b})
		}
		require.NoError(t, (<-done).err)

		// Parts of a message may come as slowly as they like: between them no frame is open.
		done = background(t.Context(), host, "m", nil)
		id := w.expect(call).ID
		w.send(reply, framing.More, id, []byte{0, 0, 0, 2, 0xcc})
		time.Sleep(time.Minute)
		w.send(reply, 0, id, []byte{0xff})
		require.NoError(t, (<-done).err)
	})
}

func TestStallsCanBeTurnedOff(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{FrameStall: -1, WriteStall: -1})
		done := background(t.Context(), host, "m", make([]byte, 1<<20))
		time.Sleep(time.Hour)
		require.NoError(t, host.Err())
		b := frame(reply, 0, w.expect(call).ID, []byte{0x01})
		w.write(b[:16])
		time.Sleep(time.Hour)
		require.NoError(t, host.Err())
		w.write(b[16:])
		require.NoError(t, (<-done).err)
	})
}

// P9: who made the call that is not ended is told, once, and what is in flight tells which it is.
func TestP9_StuckCallIsTold(t *testing.T) {
	for name, grace := range map[string]time.Duration{"default": 0, "short": time.Second, "none": -1} {
		bubbles(t, func(t *testing.T, ends makeEnds) {
			want := map[string]time.Duration{"default": 5 * time.Second, "short": time.Second}[name]
			told := make(chan time.Time, 10)
			host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{CancelGrace: grace, Stuck: func() { told <- time.Now() }})
			ctx, cancelCall := context.WithCancelCause(t.Context())
			start := time.Now()
			first := background(ctx, host, "first", nil)
			id := w.expect(call).ID
			time.Sleep(time.Minute)
			second := background(t.Context(), host, "second", nil)
			other := w.expect(call).ID
			cancelCall(errGone)
			require.ErrorIs(t, (<-first).err, errGone)
			w.expect(cancel)

			due := (<-told).Sub(start)
			require.GreaterOrEqual(t, due, time.Minute+want)
			require.LessOrEqual(t, due, time.Minute+want+slack)
			all := host.InFlight()
			require.Len(t, all, 2)
			require.Equal(t, rpc.InFlight{Method: "first", Attempt: 1, Age: all[0].Age, Left: errGone, Stuck: true}, all[0])
			require.Equal(t, rpc.InFlight{Method: "second", Attempt: 1, Age: all[1].Age}, all[1])
			require.GreaterOrEqual(t, all[0].Age, time.Minute)

			require.Empty(t, freed)
			w.send(failed, 0, id, []byte{0x80})
			<-freed
			require.Len(t, host.InFlight(), 1)
			w.send(reply, 0, other, []byte{0x01})
			require.NoError(t, (<-second).err)
			time.Sleep(time.Minute)
			require.Empty(t, told)
			require.Empty(t, host.InFlight())
		})
	}
}

// The sweep of a connection on which nothing has happened for long has ended. It begins again for the caller that leaves, or nobody would be told.
func TestP9_StuckCallIsToldOnAQuietConnection(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		told := make(chan struct{}, 10)
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{CancelGrace: time.Second, Stuck: func() { told <- struct{}{} }})
		ctx, cancelCall := context.WithCancel(t.Context())
		done := background(ctx, host, "m", nil)
		id := w.expect(call).ID
		time.Sleep(time.Minute)
		require.Zero(t, sweeping())
		cancelCall()
		start := time.Now()
		require.ErrorIs(t, (<-done).err, context.Canceled)
		w.expect(cancel)
		<-told
		passed(t, start, time.Second)
		w.send(failed, 0, id, []byte{0x80})
	})
}

// Calls that end within their grace, and calls whose callers wait, are nobody's concern.
func TestP9_NothingIsStuck(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{CancelGrace: time.Second, Stuck: func() { t.Error("stuck") }})
		waits := background(t.Context(), host, "waits", nil)
		long := w.expect(call).ID
		for range 5 {
			ctx, cancelCall := context.WithCancel(t.Context())
			done := background(ctx, host, "m", nil)
			id := w.expect(call).ID
			cancelCall()
			require.Error(t, (<-done).err)
			w.expect(cancel)
			time.Sleep(900 * time.Millisecond)
			w.send(failed, 0, id, []byte{0x80})
			<-freed
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		w.send(reply, 0, long, []byte{0x01})
		require.NoError(t, (<-waits).err)
	})
}
