package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// blocked fills the worker's input with one call, in one frame of which only the beginning is read, and returns it.
func blocked(t testing.TB, host caller, w *wire) <-chan result {
	ctx := watch(t.Context())
	done := background(ctx, host, "first", make([]byte, 200<<10))
	w.begin()
	<-ctx.waiting
	return done
}

// begin reads the first bytes of what comes, so that it is certain to be on its way.
func (w *wire) begin() {
	n, err := w.s.Read(w.in.Space()[:10])
	require.NoError(w.t, err)
	w.in.Filled(n)
}

// queued makes a call and returns when it waits for its answer, or for room.
func queued(ctx context.Context, host caller, method string, args any) <-chan result {
	w := watch(ctx)
	done := background(w, host, method, args)
	<-w.waiting
	return done
}

// method is the name in a call.
func method(t testing.TB, m framing.Message) string { return decoded[[]any](t, m.Body)[0].(string) }

// P6: a call that waits behind a full pipe is withdrawn when its caller leaves. The worker never sees it.
func TestP6_QueuedCallIsWithdrawn(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{})
		first := blocked(t, host, w)
		ctx, cancelCall := context.WithCancel(t.Context())
		second := queued(ctx, host, "second", "withdrawn")
		third := queued(t.Context(), host, "third", nil)
		cancelCall()
		d, cause := delivery(t, (<-second).err)
		require.Equal(t, rpc.NotSent, d)
		require.Equal(t, context.Canceled, cause)
		<-freed // at once, nothing has been read

		m := w.expect(call)
		require.Equal(t, "first", method(t, m))
		w.send(reply, 0, m.ID, []byte{0x01})
		m = w.expect(call)
		require.Equal(t, "third", method(t, m), "and no cancel for the second")
		w.send(reply, 0, m.ID, []byte{0x01})
		require.NoError(t, (<-first).err)
		require.NoError(t, (<-third).err)
		<-freed
		<-freed
	})
}

// A call in parts is given up between two frames: a cancel comes in place of the rest.
func TestP6_LargeCallIsGivenUpHalfway(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{})
		ctx, cancelCall := context.WithCancel(t.Context())
		done := queued(ctx, host, "large", make([]byte, 4<<20))
		cancelCall()
		d, cause := delivery(t, (<-done).err)
		require.Equal(t, rpc.NotSent, d)
		require.Equal(t, context.Canceled, cause)
		require.Empty(t, freed, "the worker has seen some of it")
		require.Equal(t, cancel, int(w.next().Type), "the first message that is complete")
		w.send(failed, framing.NotRun, 2, []byte{0x80})
		<-freed
	})
}

// Where only the last part of a call still waits, that part is withdrawn: the caller hears "not executed", so it must not be completed.
func TestP6_LastPartIsWithdrawn(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{})
		ctx, cancelCall := context.WithCancel(t.Context())
		asked := watch(ctx)
		asked.asked.Store(-1) // it asks once more for its parts: wait until the last one is queued
		done := background(asked, host, "large", make([]byte, 300<<10))
		w.begin()
		<-asked.waiting
		cancelCall()
		d, _ := delivery(t, (<-done).err)
		require.Equal(t, rpc.NotSent, d)
		require.Equal(t, cancel, int(w.next().Type), "the first message that is complete")
		w.send(failed, framing.NotRun, 2, []byte{0x80})
		<-freed
	})
}

// P15: NotSent is said only of what will certainly not be executed, even if the stream stays open: Abort withdraws what is queued.
func TestP15_AbortWithdrawsWhatIsQueued(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{})
		first := blocked(t, host, w)
		second := queued(t.Context(), host, "second", nil)
		ctx, cancelCall := context.WithCancel(t.Context())
		left := queued(ctx, host, "left", make([]byte, 4<<20))
		large := background(t.Context(), host, "large", make([]byte, 4<<20)) // waits for room
		cancelCall()
		<-left
		host.Abort(errGone)
		for want, done := range map[rpc.Delivery][]<-chan result{rpc.Unknown: {first}, rpc.NotSent: {second, large}} {
			for _, d := range done {
				got, cause := delivery(t, (<-d).err)
				require.Equal(t, want, got)
				require.Equal(t, errGone, cause)
			}
		}
		for range 4 {
			<-freed
		}
		require.NoError(t, host.Shutdown(true, 0), "the stream is open")
		require.Equal(t, "first", method(t, w.expect(call)))
		for m := w.next(); m.Type != shutdown; m = w.next() {
			require.Equal(t, cancel, int(m.Type))
		}
		d, cause := delivery(t, host.Call(t.Context(), "m", nil, nil, rpc.CallOptions{}))
		require.Equal(t, rpc.NotSent, d)
		require.Equal(t, errGone, cause)
	})
}

// meddler does something in the middle of a write.
type meddler struct {
	fullStream
	meddle func()
}

type fullStream interface {
	stream
	rpc.TryWriter
	rpc.Interrupter
}

func (m *meddler) TryWrite(p []byte) (int, error) {
	if f := m.meddle; f != nil {
		m.meddle = nil
		f()
	}
	return m.fullStream.TryWrite(p)
}

// NotSent holds also where the connection is given up while the caller itself writes the parts of a large call.
func TestP15_LargeCallStopsBetweenTwoFrames(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for name, meddle := range map[string]func(*counted){
			"abort":       func(p *counted) { p.Abort(errGone) },
			"close write": func(p *counted) { go func() { _ = p.CloseWrite(context.Background()) }() },
		} {
			m := new(meddler)
			host, w, freed := connectWire(t, func(t testing.TB) (hostEnd, workerEnd stream) {
				hostEnd, workerEnd = ends(t)
				if full, ok := hostEnd.(fullStream); ok {
					m.fullStream, hostEnd = full, m
				}
				return hostEnd, workerEnd
			}, 1, rpc.HostOptions{})
			if m.fullStream == nil {
				return // there a goroutine writes
			}
			complete := make(chan bool, 1)
			go func() { // ends with the stream
				seen := false
				for m, err := w.read(); err == nil; m, err = w.read() {
					seen = seen || m.Type == call
				}
				complete <- seen
			}()
			m.meddle = func() { meddle(host) }
			done := background(t.Context(), host, "large", make([]byte, 1<<20))
			if name == "abort" {
				d, cause := delivery(t, (<-done).err)
				require.Equal(t, rpc.NotSent, d)
				require.Equal(t, errGone, cause)
				require.NoError(t, host.CloseWrite(t.Context()))
				require.False(t, <-complete)
			} else if !<-complete { // it may have been faster
				host.Drain(errGone)
				d, cause := delivery(t, (<-done).err)
				require.Equal(t, rpc.NotSent, d)
				require.Equal(t, errGone, cause)
			} else {
				host.Drain(errGone)
			}
			<-freed
		}
	})
}

// More than 4 MiB do not pile up behind a worker that does not read, and those who wait for room leave when they want to.
func TestP6_PendingOutputIsBounded(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 100, rpc.HostOptions{})
		ctx, cancelCall := context.WithCancel(t.Context())
		var waiting []<-chan result
		for range 40 { // 8 MB
			waiting = append(waiting, background(ctx, host, "m", make([]byte, 200<<10)))
		}
		// Nobody can leave a call that has its place: wait until all are sent or wait for room.
		ping := watch(ctx)
		pinged := make(chan error, 1)
		go func() { pinged <- host.Ping(ping) }() // ends with ctx
		cancelCall()
		for _, done := range waiting {
			require.ErrorIs(t, (<-done).err, context.Canceled)
		}
		require.ErrorIs(t, <-pinged, context.Canceled)
		size := 0
		for done := background(t.Context(), host, "last", nil); ; { // it waits for room, if the padding leaves none
			m, err := w.read()
			require.NoError(t, err)
			size += m.Size
			if m.Type == call && method(t, m) == "last" {
				w.send(reply, 0, m.ID, []byte{0x01})
				require.NoError(t, (<-done).err)
				break
			}
			if m.Type == call {
				w.send(failed, 0, m.ID, []byte{0x80})
			}
		}
		require.Less(t, size, 6<<20, "bytes that had been queued")
		for range 41 {
			<-freed
		}
	})
}

// Large messages are cut, so that small ones get in between.
func TestLargeCallsDoNotStarveSmallOnes(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{})
		large := queued(t.Context(), host, "large", bytes.Repeat([]byte{'l'}, 3<<20))
		small := queued(t.Context(), host, "small", nil)
		m := w.expect(call)
		require.Equal(t, "small", method(t, m), "it is complete before the large one")
		w.send(reply, 0, m.ID, []byte{0x01})
		require.NoError(t, (<-small).err)
		m = w.expect(call)
		require.EqualValues(t, 2, m.ID)
		w.send(reply, 0, m.ID, []byte{0x02})
		require.NoError(t, (<-large).err)
	})
}

func putUint32(b []byte, n uint32) {
	b[0], b[1], b[2], b[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
}

// Ids rise in the order of the first frames, also when large calls wait for room while small ones pass.
func TestIDsRiseOnTheWire(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 64, rpc.HostOptions{})
		var calls []<-chan result
		for i := range 24 {
			size := []int{10, 600 << 10, 200 << 10}[i%3]
			calls = append(calls, background(t.Context(), host, "m", make([]byte, size)))
		}
		last, seen := uint64(0), map[uint64]bool{}
		w.parts = framing.NewAssembler(framing.MaxMessage, func(h framing.Header) (bool, error) {
			require.Greater(t, h.ID, last, "first frame of a call")
			last, seen[h.ID] = h.ID, true
			return true, nil
		})
		for range calls {
			m := w.expect(call)
			if !seen[m.ID] {
				require.Greater(t, m.ID, last, "only frame of a call")
				last = m.ID
			}
			w.send(reply, 0, m.ID, []byte{0x01})
		}
		for _, done := range calls {
			require.NoError(t, (<-done).err)
		}
	})
}

// Calls of all sizes overtake each other on one connection between two Peers, in both directions at once.
func TestSizesMix(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		p := connect(t, ends, setup{inFlight: 16, handler: echo, hello: rpc.Hello{MaxFrame: 4096}, host: rpc.HostOptions{Welcome: rpc.Welcome{MaxFrame: 2048}}})
		done := make(chan error, 16)
		for caller := range 16 {
			go func() { // ends with its calls
				done <- func() error {
					for i := range 6 {
						in := bytes.Repeat([]byte{byte(caller)}, []int{5, 2000, 4095, 4096, 50_000, 300_000}[(caller+i)%6])
						var out []byte
						if err := p.host.Call(t.Context(), "echo", in, &out, rpc.CallOptions{}); err != nil {
							return err
						}
						if !bytes.Equal(in, out) {
							return errors.New("another answer")
						}
					}
					return nil
				}()
			}()
		}
		for range 16 {
			require.NoError(t, <-done)
		}
		require.EqualValues(t, 16*6, p.freed.Load())
	})
}

func TestCloseWriteFlushesAndEnds(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{})
		first := blocked(t, host, w)
		second := queued(t.Context(), host, "second", nil)
		closed := make(chan error, 1)
		go func() { closed <- host.CloseWrite(context.Background()) }() // ends when all is read
		for range 2 {
			m := w.expect(call)
			w.send(reply, 0, m.ID, []byte{0x01})
		}
		require.NoError(t, <-closed)
		_, err := w.read()
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, (<-first).err, "calls in flight are answered")
		require.NoError(t, (<-second).err)
		for _, size := range []int{1, 1 << 20} {
			d, cause := delivery(t, host.Call(t.Context(), "m", make([]byte, size), nil, rpc.CallOptions{}))
			require.Equal(t, rpc.NotSent, d)
			require.ErrorIs(t, cause, rpc.ErrClosed)
		}
		require.ErrorIs(t, host.Ping(t.Context()), rpc.ErrClosed)
		require.ErrorIs(t, host.Shutdown(false, 0), rpc.ErrClosed)
		require.NoError(t, host.Err(), "the other direction lives")
	})
}

// A caller that leaves after CloseWrite has nobody to tell. To try all the same would break the connection, on which others are still answered.
func TestLeavingAfterCloseWrite(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 2, rpc.HostOptions{})
		stays := background(t.Context(), host, "stays", nil)
		m := w.expect(call)
		ctx, cancelCall := context.WithCancel(t.Context())
		leaves := background(ctx, host, "leaves", nil)
		w.expect(call)
		require.NoError(t, host.CloseWrite(t.Context()))
		cancelCall()
		d, cause := delivery(t, (<-leaves).err)
		require.Equal(t, rpc.Unknown, d)
		require.Equal(t, context.Canceled, cause)
		_, err := w.read()
		require.ErrorIs(t, err, io.EOF, "no cancel")
		synctest.Wait()
		require.NoError(t, host.Err())
		w.send(reply, 0, m.ID, []byte{0x01})
		require.NoError(t, (<-stays).err)
		<-freed
		require.Empty(t, freed)
	})
}

// A flush that the worker does not take is given up with its context; a large call on its way stops, and is not said to be lost to nobody.
func TestP36_CloseWriteIsBounded(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{HoldLost: true})
		large := queued(t.Context(), host, "large", make([]byte, 4<<20))
		w.begin()
		second := queued(t.Context(), host, "second", nil)
		ctx, cancelFlush := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { // ends with ctx
			defer close(done)
			_ = host.CloseWrite(ctx)
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Error("it did not wait")
		default:
		}
		cancelFlush()
		<-done
		host.Drain(errGone)
		for _, call := range []<-chan result{large, second} {
			d, cause := delivery(t, (<-call).err)
			require.Equal(t, rpc.NotSent, d)
			require.Equal(t, errGone, cause)
			<-freed
		}
	})
}
