package rpc_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

func TestCallOfAnEndedContextIsNotSent(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 1, rpc.HostOptions{})
		errOver := errors.New("over")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errOver)
		for _, size := range []int{1, 1 << 20} {
			d, cause := delivery(t, host.Call(ctx, "m", make([]byte, size), nil, rpc.CallOptions{}))
			require.Equal(t, rpc.NotSent, d)
			require.Equal(t, errOver, cause)
			<-freed
		}
		done := background(t.Context(), host, "next", nil)
		m := w.expect(call)
		require.EqualValues(t, 2, m.ID, "the first call that was sent")
		w.send(reply, 0, m.ID, []byte{0x07})
		require.Equal(t, msgpack.RawMessage{0x07}, (<-done).reply)
	})
}

// P9, P10, P11: the caller goes at once; its place is free when the worker has answered, and the answer is dropped and counted.
func TestP9_PlaceIsKeptUntilTheTerminalFrame(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, answer := range []uint8{reply, failed} {
			host, w, freed := connectWire(t, ends, 1, rpc.HostOptions{})
			ctx, cancelCall := context.WithCancel(t.Context())
			done := background(ctx, host, "slow", nil)
			m := w.expect(call)
			cancelCall()
			d, cause := delivery(t, (<-done).err)
			require.Equal(t, rpc.Unknown, d)
			require.Equal(t, context.Canceled, cause)
			require.Equal(t, m.ID, w.expect(cancel).ID)
			require.Empty(t, freed, "the handler may still run")

			w.send(answer, 0, m.ID, encoded(t, map[string]any{"code": "cancelled"}))
			<-freed
			w.send(answer, 0, m.ID, []byte{0x80}) // once more
			next := background(t.Context(), host, "next", nil)
			w.send(reply, 0, w.expect(call).ID, []byte{0x01})
			require.NoError(t, (<-next).err)
			<-freed
			require.Empty(t, freed)
			require.EqualValues(t, map[uint8]int{reply: 2, failed: 1}[answer], host.Stats().Late)
		}
	})
}

// The terminal message of a call whose caller never came to read is not left lying until the sweep finds the connection quiet.
func TestP9_PlaceIsFreeAtOnceWhereNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(meddler)
		host, w, freed := connectWire(t, func(t testing.TB) (hostEnd, workerEnd stream) {
			hostEnd, workerEnd = ringEnds(t)
			m.fullStream = hostEnd.(fullStream)
			return m, workerEnd
		}, 1, rpc.HostOptions{})
		synctest.Wait() // who has read the handshake reads no more
		start := time.Now()
		ctx, cancelCall := context.WithCancel(t.Context())
		m.meddle = cancelCall // while the call is written
		require.ErrorIs(t, host.Call(ctx, "m", nil, nil, rpc.CallOptions{}), context.Canceled)
		id := w.expect(call).ID
		w.expect(cancel)
		require.Empty(t, freed)
		w.send(failed, 0, id, []byte{0x80})
		<-freed
		require.Zero(t, time.Since(start))
	})
}

func TestCancelEndsTheHandlersContext(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, inFlight := range []int{1, 8} {
			entered, freed, leave := make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
			p := connect(t, ends, setup{
				inFlight: inFlight, freed: func() { freed <- struct{}{} },
				handler: func(ctx context.Context, r *rpc.Request) (any, error) {
					close(entered)
					<-ctx.Done()
					<-leave
					return nil, ctx.Err()
				},
			})
			ctx, cancelCall := context.WithCancel(t.Context())
			done := background(ctx, p.host, "m", nil)
			<-entered
			cancelCall()
			require.ErrorIs(t, (<-done).err, context.Canceled)
			require.Empty(t, freed)
			close(leave)
			<-freed
		}
	})
}

func TestLateAndUnknownAnswersAreCounted(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 4, rpc.HostOptions{})
		done := background(t.Context(), host, "m", nil)
		id := w.expect(call).ID
		for _, b := range [][]byte{
			frame(reply, 0, 100, []byte{0x01}), frame(failed, 0, 3, []byte{0x80}), frame(reply, 0, 0, nil), frame(reply, 0, 1<<63|1, nil),
			frame(pong, 0, 0, []byte{0x05}), frame(pong, 0, 0, []byte("no number")), frame(cancel, 0, 5, nil),
			frame(reply, 0, id, []byte{0x2a}), frame(reply, 0, id, []byte{0x2b}), frame(failed, 0, id, []byte{0x80}),
			frame(progress, 0, id, []byte{0x01}), frame(0x24, 0, 0, []byte{0x80}),
		} {
			w.write(b)
		}
		r := <-done
		require.NoError(t, r.err)
		require.Equal(t, msgpack.RawMessage{0x2a}, r.reply, "the first answer counts")
		next := background(t.Context(), host, "m", nil)
		w.send(reply, 0, w.expect(call).ID, []byte{0x01})
		require.NoError(t, (<-next).err)
		require.Equal(t, rpc.Stats{Late: 9, Ignored: 2}, host.Stats())
	})
}

// Whoever reads may leave: those who wait get their answers all the same, and nothing stale stays on the stream (P43).
func TestP43_ReaderLeavesOthersStay(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{})
		for range 20 {
			ctx, cancelCall := context.WithCancel(t.Context())
			reader := background(ctx, host, "reader", nil)
			first := w.expect(call).ID
			var others []<-chan result
			var ids []uint64
			for range 3 {
				others = append(others, background(t.Context(), host, "other", nil))
				ids = append(ids, w.expect(call).ID)
			}
			cancelCall()
			require.ErrorIs(t, (<-reader).err, context.Canceled)
			require.Equal(t, first, w.expect(cancel).ID)
			for i := range ids { // the calls need not come in the order of the goroutines
				w.send(reply, 0, ids[i], []byte{0x01})
			}
			for _, done := range others {
				require.NoError(t, (<-done).err)
				<-freed
			}
			w.send(failed, 0, first, []byte{0x80})
			<-freed
		}
	})
}

// All leave but one, in any order: the last one reads, or somebody does for it.
func TestManyLeaveOneStays(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 32, rpc.HostOptions{})
		ctx, cancelCalls := context.WithCancel(t.Context())
		leaving := make([]<-chan result, 10)
		for i := range leaving {
			leaving[i] = background(ctx, host, "leaving", nil)
			w.expect(call)
		}
		staying := background(t.Context(), host, "staying", nil)
		id := w.expect(call).ID
		cancelCalls()
		for _, done := range leaving {
			require.ErrorIs(t, (<-done).err, context.Canceled)
			w.expect(cancel)
		}
		w.send(reply, 0, id, []byte{0x01})
		require.NoError(t, (<-staying).err)
	})
}

func TestWhatTheHandlerSees(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		type seen struct {
			method   string
			attempt  int
			metadata map[string]string
			left     time.Duration
			limited  bool
			args     []int
		}
		requests := make(chan seen, 1)
		p := connect(t, ends, setup{handler: func(ctx context.Context, r *rpc.Request) (any, error) {
			s := seen{method: r.Method, attempt: r.Attempt, metadata: r.Metadata}
			deadline, limited := ctx.Deadline()
			s.left, s.limited = time.Until(deadline), limited
			err := r.Decode(&s.args)
			requests <- s
			return nil, err
		}})
		ask := func(ctx context.Context, o rpc.CallOptions) seen {
			require.NoError(t, p.host.Call(ctx, "some.method", []int{1, 2}, nil, o))
			s := <-requests
			require.Equal(t, "some.method", s.method)
			require.Equal(t, []int{1, 2}, s.args)
			return s
		}
		s := ask(t.Context(), rpc.CallOptions{})
		require.Equal(t, 1, s.attempt)
		require.Empty(t, s.metadata)
		require.False(t, s.limited)

		s = ask(t.Context(), rpc.CallOptions{Attempt: 3, Metadata: map[string]string{"trace": "abc"}, Budget: time.Hour})
		require.Equal(t, 3, s.attempt)
		require.Equal(t, map[string]string{"trace": "abc"}, s.metadata)
		require.InDelta(t, time.Hour, s.left, float64(time.Minute))

		ctx, cancelCall := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancelCall()
		require.InDelta(t, 2*time.Hour, ask(ctx, rpc.CallOptions{}).left, float64(time.Minute))
		require.InDelta(t, time.Hour, ask(ctx, rpc.CallOptions{Budget: time.Hour}).left, float64(time.Minute))
	})
}

func TestBudgetEndsTheHandler(t *testing.T) {
	for _, inFlight := range []int{1, 4} {
		s := setup{inFlight: inFlight, handler: func(ctx context.Context, r *rpc.Request) (any, error) {
			<-ctx.Done()
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) || context.Cause(ctx) != ctx.Err() {
				return nil, errors.New("ended without its deadline")
			}
			return nil, ctx.Err()
		}}
		bubbles(t, func(t *testing.T, ends makeEnds) {
			p := connect(t, ends, s)
			began := time.Now()
			err := p.host.Call(t.Context(), "m", nil, nil, rpc.CallOptions{Budget: 5 * time.Second})
			require.Equal(t, rpc.CodeDeadline, remote(t, err).Code)
			require.Equal(t, 5*time.Second, time.Since(began))
		})
		eachMode(t, func(t *testing.T, ends makeEnds) {
			p := connect(t, ends, s)
			err := p.host.Call(t.Context(), "m", nil, nil, rpc.CallOptions{Budget: time.Millisecond})
			require.Equal(t, rpc.CodeDeadline, remote(t, err).Code)
		})
	}
}

// The caller's own deadline is obeyed to the moment, whoever reads.
func TestP6_DeadlineIsObeyed(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 4, rpc.HostOptions{})
		go w.drop() // ends with the stream
		for range 5 {
			ctx, cancelCall := context.WithTimeout(t.Context(), time.Second)
			began := time.Now()
			err := host.Call(ctx, "m", nil, nil, rpc.CallOptions{})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(began))
			cancelCall()
		}
	})
}

func TestP4_TooLargeCostsTheCallAlone(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		p := connect(t, ends, setup{
			hello: rpc.Hello{MaxFrame: 1024, MaxMessage: 10_000}, host: rpc.HostOptions{Welcome: rpc.Welcome{MaxFrame: 1024, MaxMessage: 20_000}},
			handler: func(_ context.Context, r *rpc.Request) (any, error) {
				if r.Method == "error" {
					return nil, &rpc.RemoteError{Code: "big", Message: strings.Repeat("m", 30_000), NotRun: true}
				}
				var n int
				err := r.Decode(&n)
				return make([]byte, n), err
			},
		})
		err := p.host.Call(t.Context(), "m", make([]byte, 10_000), nil, rpc.CallOptions{})
		d, cause := delivery(t, err)
		require.Equal(t, rpc.NotSent, d)
		require.ErrorIs(t, cause, rpc.ErrTooLarge)
		require.ErrorContains(t, err, "over the limit of 10000")

		var out []byte
		require.NoError(t, p.host.Call(t.Context(), "m", 19_000, &out, rpc.CallOptions{}))
		require.Len(t, out, 19_000)
		require.Equal(t, rpc.CodeBadResult, remote(t, p.host.Call(t.Context(), "m", 20_000, &out, rpc.CallOptions{})).Code)
		e := remote(t, p.host.Call(t.Context(), "error", nil, nil, rpc.CallOptions{}))
		require.Equal(t, "big", e.Code)
		require.True(t, e.NotRun && strings.HasPrefix(e.Message, "mmmm"), "as much of it as fits")
		require.NoError(t, p.host.Call(t.Context(), "m", 1, nil, rpc.CallOptions{}))
		require.EqualValues(t, 5, p.freed.Load())
	})
}

// A worker that sends more than it may loses that call alone.
func TestP4_OversizeReplyIsSkipped(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 1, rpc.HostOptions{Welcome: rpc.Welcome{MaxFrame: 1024, MaxMessage: 2000}})
		done := background(t.Context(), host, "m", nil)
		id := w.expect(call).ID
		part := make([]byte, 1000)
		w.send(reply, framing.More, id, append([]byte{0, 0, 8, 0xb8}, part...)) // 3,000 - 768 = 2,232 bytes
		w.send(reply, framing.More, id, part)
		w.send(reply, 0, id, part[:232])
		require.Equal(t, rpc.CodeBadReply, remote(t, (<-done).err).Code)
		<-freed
		done = background(t.Context(), host, "m", nil)
		w.send(reply, 0, w.expect(call).ID, []byte{0x01})
		require.NoError(t, (<-done).err)
	})
}

func TestRepliesThatDoNotFit(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 1, rpc.HostOptions{})
		ask := func(typ uint8, flags framing.Flags, answer []byte, out any) error {
			done := make(chan error, 1)
			go func() { done <- host.Call(t.Context(), "m", nil, out, rpc.CallOptions{}) }() // ends with the answer
			w.send(typ, flags, w.expect(call).ID, answer)
			err := <-done
			<-freed
			return err
		}
		d, cause := delivery(t, ask(reply, 0, encoded(t, "text"), new(int)))
		require.Equal(t, rpc.Answered, d)
		require.ErrorIs(t, cause, rpc.ErrDecode)
		require.NoError(t, ask(reply, 0, encoded(t, "text"), nil), "nobody wants it")
		for _, bad := range [][]byte{nil, {0xc1}, {0x01, 0x02}, {0xdd, 0xff, 0xff, 0xff, 0xff}} {
			require.Equal(t, rpc.CodeBadReply, remote(t, ask(reply, 0, bad, new(any))).Code, "% x", bad)
			require.Equal(t, rpc.CodeBadReply, remote(t, ask(reply, 0, bad, nil)).Code, "% x", bad)
			require.Equal(t, rpc.CodeBadReply, remote(t, ask(failed, 0, bad, nil)).Code, "% x", bad)
		}
		require.True(t, remote(t, ask(failed, framing.NotRun, encoded(t, map[string]any{"code": "x"}), nil)).NotRun)
	})
}

func TestArgumentsThatCannotBeSent(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, _, freed := connectWire(t, ends, 1, rpc.HostOptions{})
		for _, c := range []struct {
			method string
			args   any
		}{
			{"m", make(chan int)}, {"m", msgpack.RawMessage{0x92, 0x01}}, {"", 1}, {strings.Repeat("m", 256), 1},
		} {
			d, cause := delivery(t, host.Call(t.Context(), c.method, c.args, nil, rpc.CallOptions{}))
			require.Equal(t, rpc.NotSent, d)
			require.ErrorIs(t, cause, rpc.ErrEncode)
			<-freed
		}
	})
}

// A sender gives up a reply by an error for the same id.
func TestErrorInPlaceOfTheRestOfAReply(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 1, rpc.HostOptions{})
		done := background(t.Context(), host, "m", nil)
		id := w.expect(call).ID
		w.send(reply, framing.More, id, []byte("\x00\x00\x10\x00the beginning"))
		w.send(failed, 0, id, encoded(t, map[string]any{"code": "gone", "message": "halfway"}))
		require.Equal(t, &rpc.RemoteError{Code: "gone", Message: "halfway"}, remote(t, (<-done).err))
	})
}

// Replies and errors that were begun, and never completed, are forgotten with their call.
func TestP11_HalfAnswersAreForgotten(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 1, rpc.HostOptions{})
		before := heap()
		for i := range 60 {
			done := background(t.Context(), host, "m", nil)
			id := w.expect(call).ID
			begun, complete := uint8(reply), uint8(failed)
			if i%2 == 0 {
				begun, complete = failed, reply
			}
			w.send(begun, framing.More, id, []byte{0, 0x10, 0, 0, 'x'}) // of 1 MiB
			w.send(complete, 0, id, []byte{0x80})
			<-done
		}
		require.Less(t, heap(), before+20<<20)
	})
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// What a caller left behind is never written to: its reply belongs to it alone.
func TestReplyIsNotTouchedAfterTheCallerHasLeft(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 1, rpc.HostOptions{})
		for range 50 {
			ctx, cancelCall := context.WithCancel(t.Context())
			done := make(chan error, 1)
			out := make([]byte, 0, 10)                                                // the race detector watches it
			go func() { done <- host.Call(ctx, "m", nil, &out, rpc.CallOptions{}) }() // ends with ctx or the answer
			id := w.expect(call).ID
			go cancelCall() // ends at once
			go w.send(reply, 0, id, []byte{0xc4, 1, 'x'})
			err := <-done
			if err != nil {
				out = append(out, "mine"...)
				require.Equal(t, "mine", string(out))
				w.expect(cancel)
			} else {
				require.Equal(t, "x", string(out))
			}
			<-freed
			cancelCall()
		}
	})
}

// A worker that answers a call before it has come whole need not get the rest, and its caller need not wait until it does.
func TestEarlyAnswerEndsTheSending(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 1, rpc.HostOptions{})
		done := background(t.Context(), host, "m", make([]byte, 4<<20))
		w.begin()
		synctest.Wait()
		w.send(reply, 0, 2, []byte{0x01})
		require.NoError(t, (<-done).err)
		<-freed
		size := 0
		for {
			h, payload, ok, err := w.in.Next()
			require.NoError(t, err)
			if !ok {
				n, err := w.s.Read(w.in.Space())
				require.NoError(t, err)
				w.in.Filled(n)
				continue
			}
			if size += len(payload); h.Type == cancel {
				break
			}
			require.EqualValues(t, call, h.Type)
		}
		require.Less(t, size, 2<<20)
		next := background(t.Context(), host, "next", nil)
		w.send(reply, 0, w.expect(call).ID, []byte{0x01})
		require.NoError(t, (<-next).err)
	})
}
