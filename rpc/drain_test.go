package rpc_test

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/rpc"
)

// start makes calls that the worker has received, and returns their ids.
func start(t testing.TB, host caller, w *wire, n int) (calls []<-chan result, ids []uint64) {
	for range n {
		calls = append(calls, background(t.Context(), host, "m", nil))
		ids = append(ids, w.expect(call).ID)
	}
	return calls, ids
}

// failedWith checks that each call failed with an error of its own.
func failedWith(t testing.TB, calls []<-chan result, want rpc.Delivery, cause error) {
	t.Helper()
	seen := map[error]bool{}
	for _, done := range calls {
		err := (<-done).err
		d, got := delivery(t, err)
		require.Equal(t, want, d)
		require.Equal(t, cause, got)
		require.False(t, seen[err], "one error for two callers")
		seen[err] = true
	}
}

// P16: with the owner's leave calls wait for the reason of the death, which the end of the stream does not tell.
func TestP16_LostCallsAreHeld(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{HoldLost: true})
		calls, _ := start(t, host, w, 3)
		ctx, cancelCall := context.WithTimeout(t.Context(), time.Second)
		defer cancelCall()
		impatient := background(ctx, host, "m", nil)
		w.expect(call)
		require.NoError(t, w.s.CloseWrite())
		<-host.Done()
		require.ErrorIs(t, host.Err(), io.EOF)
		require.ErrorIs(t, (<-impatient).err, context.DeadlineExceeded, "contexts are obeyed all the same")
		synctest.Wait()
		for _, done := range calls {
			require.Empty(t, done)
		}
		d, cause := delivery(t, host.Call(t.Context(), "m", nil, nil, rpc.CallOptions{}))
		require.Equal(t, rpc.NotSent, d, "but no new ones are taken")
		require.ErrorIs(t, cause, io.EOF)
		require.Len(t, freed, 1)
		host.Abort(errGone)
		failedWith(t, calls, rpc.Unknown, errGone)
		synctest.Wait()
		require.Len(t, freed, 5)
	})
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, drain := range []bool{false, true} {
			host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{HoldLost: true})
			calls, _ := start(t, host, w, 3)
			require.NoError(t, w.s.CloseWrite())
			<-host.Done()
			if drain {
				host.Drain(errGone)
			} else {
				host.Abort(errGone)
			}
			failedWith(t, calls, rpc.Unknown, errGone)
			for range calls {
				<-freed
			}
		}
	})
}

func TestLostCallsFailByThemselves(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{})
		calls, ids := start(t, host, w, 3)
		w.send(reply, 0, ids[1], []byte{0x05})
		require.Equal(t, msgpack.RawMessage{0x05}, (<-calls[1]).reply)
		require.NoError(t, w.s.CloseWrite())
		failedWith(t, []<-chan result{calls[0], calls[2]}, rpc.Unknown, io.EOF)
	})
}

// P8: an end within a frame is an end, not nonsense.
func TestP8_EndWithinAFrame(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{})
		calls, ids := start(t, host, w, 1)
		whole := frame(reply, 0, ids[0], make([]byte, 100))
		w.write(whole[:60])
		require.NoError(t, w.s.CloseWrite())
		failedWith(t, calls, rpc.Unknown, io.ErrUnexpectedEOF)
		require.Equal(t, io.ErrUnexpectedEOF, host.Err())
	})
}

// P45: what a dead worker has written completely is delivered, though somebody else holds the pipe open and its end does not come.
func TestP45_DrainDeliversWhatIsThere(t *testing.T) {
	test := func(t *testing.T, ends makeEnds) {
		for i := range 20 {
			host, w, freed := connectWire(t, ends, 32, rpc.HostOptions{HoldLost: i%2 == 0})
			calls, ids := start(t, host, w, 10)
			var last []byte
			for _, id := range ids[:9] {
				last = append(last, frame(reply, 0, id, encoded(t, make([]byte, 5000)))...)
			}
			last = append(last, frame(reply, 0, ids[9], make([]byte, 5000))[:4000]...)
			w.write(last)
			host.Drain(errGone)
			for _, done := range calls[:9] {
				r := <-done
				require.NoError(t, r.err)
				require.Len(t, r.reply, 5003)
			}
			failedWith(t, calls[9:], rpc.Unknown, errGone)
			for range calls {
				<-freed
			}
			require.Empty(t, freed)
		}
	}
	bubbles(t, test)
	if pipes := modes["pipes"]; pipes != nil {
		test(t, pipes)
	}
}

// Whoever reads when the process dies, Drain gets to read, and returns.
func TestDrainFindsAnyReader(t *testing.T) {
	t.Run("nobody", func(t *testing.T) {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{})
			calls, ids := start(t, host, w, 1)
			w.send(reply, 0, ids[0], []byte{0x01})
			require.NoError(t, (<-calls[0]).err)
			host.Drain(errGone)
			require.Equal(t, errGone, host.Err())
		})
	})
	t.Run("a goroutine", func(t *testing.T) {
		bubbles(t, func(t *testing.T, ends makeEnds) {
			host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{})
			calls, _ := start(t, host, w, 2)
			time.Sleep(time.Second) // the caller that read has been sent away
			host.Drain(errGone)
			failedWith(t, calls, rpc.Unknown, errGone)
		})
	})
	t.Run("many", func(t *testing.T) {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{HoldLost: true})
			calls, _ := start(t, host, w, 2)
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() { host.Drain(errGone) })
			}
			wg.Go(func() { host.Abort(errGone) })
			failedWith(t, calls, rpc.Unknown, errGone)
			wg.Wait()
		})
	})
}

// A caller that was granted the reading role, and whose call is failed before it wakes up, passes the role on. Otherwise nobody reads
// after Abort, and Drain waits for ever.
func TestAbortOfAGrantedReader(t *testing.T) {
	test := func(t *testing.T, ends makeEnds) {
		said := make(chan string, 1)
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{HoldLost: true, Goodbye: func(reason string) { said <- reason }})
		reader, ids := start(t, host, w, 1)
		ctx := hold(t.Context())
		second := background(ctx, host, "m", nil)
		w.expect(call)
		<-ctx.reached
		w.send(reply, 0, ids[0], []byte{0x01})
		require.NoError(t, (<-reader[0]).err) // the role went to the second one
		host.Abort(errGone)
		close(ctx.free)
		failedWith(t, []<-chan result{second}, rpc.Unknown, errGone)
		w.send(goodbye, 0, 0, goodbyeBody(t, 4))
		require.Equal(t, "tired", <-said, "somebody reads")
		host.Drain(errGone)
	}
	bubbles(t, test)
	eachMode(t, test)
}

// A reader whose context ends in the moment in which it is granted the role passes it on too.
func TestContextOfAGrantedReaderEnds(t *testing.T) {
	test := func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{})
		reader, ids := start(t, host, w, 1)
		inner, cancelCall := context.WithCancel(t.Context())
		ctx := hold(inner)
		second := background(ctx, host, "m", nil)
		w.expect(call)
		<-ctx.reached
		third, id := start(t, host, w, 1)
		w.send(reply, 0, ids[0], []byte{0x01})
		require.NoError(t, (<-reader[0]).err)
		cancelCall()
		close(ctx.free)
		require.ErrorIs(t, (<-second).err, context.Canceled)
		w.send(reply, 0, id[0], []byte{0x01})
		require.NoError(t, (<-third[0]).err)
	}
	bubbles(t, test)
	eachMode(t, test)
}

// A worker that closes its input can still answer; what could not be written was certainly not executed.
func TestWriteErrors(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{HoldLost: true})
		calls, ids := start(t, host, w, 1)
		closeRead(t, w.s)
		lost := []<-chan result{background(t.Context(), host, "lost", nil)}
		<-host.Done()
		require.Error(t, host.Err())
		require.NotErrorIs(t, host.Err(), io.EOF)
		w.send(reply, 0, ids[0], []byte{0x01})
		require.NoError(t, (<-calls[0]).err)
		require.Error(t, host.Shutdown(true, 0))
		host.Drain(errGone)
		failedWith(t, lost, rpc.NotSent, errGone)
	})
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{})
		calls, _ := start(t, host, w, 2)
		closeRead(t, w.s)
		d, cause := delivery(t, host.Call(t.Context(), "lost", make([]byte, 1<<20), nil, rpc.CallOptions{}))
		require.Equal(t, rpc.NotSent, d)
		failedWith(t, calls, rpc.Unknown, cause)
		for range 3 {
			<-freed
		}
	})
}

// A write under way when the process dies: of the call that was half written, and of those behind it, it is known that they did not run.
func TestP15_DrainKnowsWhatWasNotWritten(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, hold := range []bool{true, false} {
			host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{HoldLost: hold})
			sent, _ := start(t, host, w, 1)
			first := blocked(t, host, w)
			second := queued(t.Context(), host, "second", nil)
			large := background(t.Context(), host, "large", make([]byte, 2<<20))
			host.Drain(errGone)
			failedWith(t, sent, rpc.Unknown, errGone)
			failedWith(t, []<-chan result{first, second, large}, rpc.NotSent, errGone)
			for range 4 {
				<-freed
			}
			require.Empty(t, freed)
		}
	})
}

// stubborn is a mailbox in which a write under way ends with Close alone.
type stubborn struct{ *fullMailbox }

func (stubborn) CloseWrite() error { return nil }

// Nor is anything known of what is still being written when nobody waits for it any longer, though nobody is left to read it: only what is queued
// behind it has certainly not been sent.
func TestP15_WriteThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		size := written(t, nil)
		m := &mailbox{room: size + size/2, gone: true, known: make(chan struct{})}
		host, _, freed := connectBrittle(t, func(t testing.TB) (hostEnd, workerEnd stream) {
			hostEnd, workerEnd = ringEnds(t)
			m.stream = hostEnd
			return stubborn{&fullMailbox{hostEnd.(fullStream), m}}, workerEnd
		}, true)
		m.arm()
		var calls []<-chan result
		for range 3 { // the second finds room for its half
			calls = append(calls, background(t.Context(), host, "m", nil))
			synctest.Wait()
		}
		start := time.Now()
		host.Drain(errGone)
		require.Less(t, time.Since(start), time.Second)
		failedWith(t, calls[:2], rpc.Unknown, errGone)
		failedWith(t, calls[2:], rpc.NotSent, errGone)
		for range calls {
			<-freed
		}
	})
}

func TestP36_CloseEndsEverything(t *testing.T) {
	busy := func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{HoldLost: true})
		sent, _ := start(t, host, w, 2)
		ctx, cancelCall := context.WithCancel(t.Context())
		left := background(ctx, host, "left", nil)
		w.expect(call)
		cancelCall()
		<-left
		w.expect(cancel)
		first := blocked(t, host, w)
		second := queued(t.Context(), host, "second", nil)
		large := background(t.Context(), host, "large", make([]byte, 2<<20))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := host.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		failedWith(t, sent, rpc.Unknown, rpc.ErrClosed)
		failedWith(t, []<-chan result{second, large}, rpc.NotSent, rpc.ErrClosed)
		_, cause := delivery(t, (<-first).err)
		require.Equal(t, rpc.ErrClosed, cause)
		wg.Wait()
		for range 6 {
			<-freed
		}
		require.Empty(t, freed)
		require.NoError(t, host.Close())
		host.Drain(errGone)
		host.Abort(errGone)
		require.Equal(t, rpc.ErrClosed, host.Err())
		require.NoError(t, w.s.Close())
	}
	bubbles(t, busy)                     // which fail if a goroutine is left
	before := runtime.NumGoroutine() + 1 // Eventually's own
	for range 10 {
		eachMode(t, busy)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before }, 5*time.Second, time.Millisecond)
}

// A quiet connection is read, so that its end is seen without a call; and the sweeper that sees to it ends with its connections.
func TestEndOfAQuietConnectionIsSeen(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		group := new(rpc.Group)
		for range 3 {
			host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{Group: group})
			calls, ids := start(t, host, w, 1)
			w.send(reply, 0, ids[0], []byte{0x01})
			require.NoError(t, (<-calls[0]).err)
			require.NoError(t, w.s.Close())
			<-host.Done()
			require.ErrorIs(t, host.Err(), io.EOF)
			require.NoError(t, host.Close())
		}
	})
}
