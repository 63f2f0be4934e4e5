package rpc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// record is a value that holds large bytes and is not nothing but bytes.
type record struct {
	N    int
	Data []byte
	Raw  msgpack.RawMessage
}

// content is n bytes that no other call has.
func content(call, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8 + i*3 + call*17)
	}
	return b
}

// sizes are those of small frames, large ones, and messages that are cut.
var sizes = []int{10, 5 << 10, 16 << 10, 20 << 10, 100 << 10, 250 << 10, 256 << 10, 300 << 10, 1 << 20}

// kept is what somebody keeps, and what it has to stay.
type kept struct{ got, want []byte }

// TestLargeValuesStay: results and inputs of handlers stay as they are, though the memory of what nobody keeps is used again.
func TestLargeValuesStay(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, inFlight := range []int{1, 6} {
			var mu sync.Mutex
			var all []kept
			keep := func(got, want []byte) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, kept{got, want})
			}
			p := connect(t, ends, setup{inFlight: inFlight, handler: keeper(keep)})
			var wg sync.WaitGroup
			for caller := range inFlight {
				wg.Go(func() {
					for i := range len(sizes) {
						n := caller*len(sizes) + i
						if err := callLarge(t.Context(), p.host, n, content(n, sizes[(i+caller)%len(sizes)]), keep); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			for _, k := range all {
				require.True(t, bytes.Equal(k.want, k.got), "%d bytes have changed", len(k.want))
			}
		}
	})
}

// keeper answers with its arguments, by several ways, and keeps copies of some and the arguments themselves.
func keeper(keep func(got, want []byte)) rpc.HandlerFunc {
	return func(_ context.Context, r *rpc.Request) (any, error) {
		switch r.Method {
		case "record":
			var in record
			err := r.Decode(&in)
			keep(in.Data, bytes.Clone(in.Data))
			keep(in.Raw, bytes.Clone(in.Raw))
			return in, err
		case "raw":
			var in msgpack.RawMessage
			err := r.Decode(&in)
			keep(in, bytes.Clone(in))
			return in, err
		case "passing":
			return r.Bytes()
		}
		var in []byte
		err := r.Decode(&in)
		keep(in, bytes.Clone(in))
		return in, err
	}
}

// callLarge makes call number n with those bytes and keeps the result.
func callLarge(ctx context.Context, p caller, n int, b []byte, keep func(got, want []byte)) (err error) {
	switch n % 5 {
	case 0:
		var out record
		in := record{n, b, encodedBytes(content(n+1, len(b)/2))}
		err = p.Call(ctx, "record", in, &out, rpc.CallOptions{})
		keep(out.Data, b)
		keep(out.Raw, in.Raw)
	case 1:
		var out msgpack.RawMessage
		err = p.Call(ctx, "raw", msgpack.RawMessage(encodedBytes(b)), &out, rpc.CallOptions{})
		keep(out, encodedBytes(b))
	case 2:
		err = p.Call(ctx, "passing", b, nil, rpc.CallOptions{})
	case 3:
		var out any
		err = p.Call(ctx, "passing", b, &out, rpc.CallOptions{})
		got, _ := out.([]byte)
		keep(got, b)
	default:
		var out []byte
		err = p.Call(ctx, []string{"bytes", "passing"}[n/5%2], b, &out, rpc.CallOptions{})
		keep(out, b)
	}
	return err
}

func encodedBytes(b []byte) []byte {
	raw, err := msgpack.Marshal(b)
	if err != nil {
		panic(err)
	}
	return raw
}

func TestResultGoesIntoTheCallersMemory(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		p := connect(t, ends, setup{inFlight: 1, handler: echo})
		for _, size := range []int{1, 100, 20 << 10, 300 << 10} {
			b := content(size, size)
			room := make([]byte, 7, size+10)
			out := room
			require.NoError(t, p.host.Call(t.Context(), "echo", b, &out, rpc.CallOptions{}))
			require.True(t, bytes.Equal(b, out))
			require.Same(t, &room[0], &out[0], "it has room")

			raw := msgpack.RawMessage(room)
			require.NoError(t, p.host.Call(t.Context(), "echo", b, &raw, rpc.CallOptions{}))
			require.True(t, bytes.Equal(encodedBytes(b), raw))
			require.Same(t, &room[0], &raw[0])

			short := make([]byte, size-1)
			was := bytes.Clone(short)
			out = short
			require.NoError(t, p.host.Call(t.Context(), "echo", b, &out, rpc.CallOptions{}))
			require.True(t, bytes.Equal(b, out))
			require.True(t, bytes.Equal(was, short), "it has not")

			out = nil
			require.NoError(t, p.host.Call(t.Context(), "echo", b, &out, rpc.CallOptions{}))
			require.True(t, bytes.Equal(b, out))

			out = b // the arguments' own
			require.NoError(t, p.host.Call(t.Context(), "echo", b, &out, rpc.CallOptions{}))
			require.True(t, bytes.Equal(content(size, size), out))
		}
		for _, old := range [][]byte{nil, {1, 2, 3}} {
			out := old
			require.NoError(t, p.host.Call(t.Context(), "echo", []byte{}, &out, rpc.CallOptions{}))
			require.NotNil(t, out, "empty is not missing")
			require.Empty(t, out)
			require.NoError(t, p.host.Call(t.Context(), "echo", nil, &out, rpc.CallOptions{}))
			require.Nil(t, out)
		}
		out := []byte("as it was")
		require.Error(t, p.host.Call(t.Context(), "echo", "no bytes at all"+string(make([]byte, 20<<10)), (*[]int)(nil), rpc.CallOptions{}))
		require.Error(t, p.host.Call(t.Context(), "echo", make(chan int), &out, rpc.CallOptions{}))
		require.Equal(t, "as it was", string(out))
	})
}

// A small reply that a worker cuts is the caller's too.
func TestSmallRepliesInPartsStay(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 1, rpc.HostOptions{})
		var all []kept
		for i := range 60 {
			want := content(i, 8)
			body := append([]byte{0xc4, 8}, want...)
			var out []byte
			done := make(chan error, 1)
			go func() { done <- host.Call(t.Context(), "m", nil, &out, rpc.CallOptions{}) }() // ends with its answer
			id := w.expect(call).ID
			if i%3 == 2 {
				w.send(reply, 0, id, body)
			} else {
				w.send(reply, framing.More, id, append([]byte{0, 0, 0, 10}, body[:4]...))
				w.send(reply, 0, id, body[4:])
			}
			require.NoError(t, <-done)
			all = append(all, kept{out, want})
		}
		for _, k := range all {
			require.Equal(t, k.want, k.got)
		}
	})
}

// The memory of a large result that nobody wants is used again by one at a time.
func TestDiscardedResultsAreUsedAgainOnce(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		var mu sync.Mutex
		var all []kept
		p := connect(t, ends, setup{inFlight: 1, handler: func(_ context.Context, r *rpc.Request) (any, error) {
			if r.Method == "passing" {
				return r.Bytes()
			}
			var in []byte
			err := r.Decode(&in)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, kept{in, bytes.Clone(in)})
			return in[:5<<10], err
		}})
		for i := range 40 {
			require.NoError(t, p.host.Call(t.Context(), "passing", content(i, 40<<10), nil, rpc.CallOptions{}))
			require.NoError(t, p.host.Call(t.Context(), "keep", content(i+1, 40<<10), nil, rpc.CallOptions{}))
		}
		mu.Lock()
		defer mu.Unlock()
		for _, k := range all {
			require.True(t, bytes.Equal(k.want, k.got))
		}
	})
}

// Who has left may do with the arguments as it likes: what arrives is what they were, or nothing.
func TestP6_LargeArgumentsAreTheCallersAgain(t *testing.T) {
	for name, size := range map[string]int{"whole": 200 << 10, "cut": 3 << 20} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, pipe full %v", name, busy), func(t *testing.T) {
				eachMode(t, func(t *testing.T, ends makeEnds) {
					host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{})
					if busy {
						blocked(t, host, w)
						busyWith(t, host)
					}
					args := content(1, size)
					ctx, cancelCall := context.WithCancel(t.Context())
					asked := watch(ctx)
					if busy && name == "cut" {
						asked.asked.Store(1) // it waits for room before its first part
					}
					left := background(asked, host, "left", args)
					<-asked.waiting
					cancelCall()
					d, _ := delivery(t, (<-left).err)
					for i := range args {
						args[i] = 0xee // the race detector watches, too
					}
					last := background(t.Context(), host, "last", nil)
					arrived := false
					for m := w.next(); ; m = w.next() {
						if m.Type == call && method(t, m) == "left" {
							arrived = true
							require.True(t, bytes.HasSuffix(m.Body, content(1, size)))
						}
						if m.Type == call && method(t, m) == "last" {
							w.send(reply, 0, m.ID, []byte{0x01})
							break
						}
					}
					require.NoError(t, (<-last).err)
					require.Equal(t, d == rpc.Unknown, arrived)
					require.True(t, !busy || !arrived, "it was queued, or waited for room")
				})
			})
		}
	}
}

// busyWith has more wait than lets a part of a large message join.
func busyWith(t *testing.T, host caller) {
	queued(t.Context(), host, "second", make([]byte, 250<<10))
	queued(t.Context(), host, "third", make([]byte, 250<<10))
}

// What is withdrawn becomes padding of the same length, and what is behind it is found.
func TestP6_WithdrawnLargeCallIsPadding(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{})
		first := blocked(t, host, w)
		ctx, cancelCall := context.WithCancel(t.Context())
		args := content(1, 100<<10)
		second := queued(ctx, host, "second", args)
		third := queued(t.Context(), host, "third", content(3, 20<<10))
		cancelCall()
		d, _ := delivery(t, (<-second).err)
		require.Equal(t, rpc.NotSent, d)
		<-freed

		require.Equal(t, "first", method(t, w.expect(call)))
		m, err := w.read()
		require.NoError(t, err)
		require.Equal(t, pad, int(m.Type))
		require.Len(t, m.Body, 1+1+len("second")+1+1+1+5+len(args), "an array, name, budget, attempt, no metadata, a length, and the arguments")
		m = w.expect(call)
		require.Equal(t, "third", method(t, m))
		require.True(t, bytes.HasSuffix(m.Body, content(3, 20<<10)))
		host.Abort(errGone)
		require.Error(t, (<-first).err)
		require.Error(t, (<-third).err)
	})
}

// A worker with one call at a time has what its handler returned to itself again when the next call comes: it has been sent, or copied.
func TestHandlerMayReturnTheSameBytesAgain(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		same := make([]byte, 1<<20)
		p := connect(t, ends, setup{inFlight: 1, handler: func(_ context.Context, r *rpc.Request) (any, error) {
			var n int
			err := r.Decode(&n)
			return same[:copy(same, content(n, sizes[n%len(sizes)]))], err
		}})
		for n := range 3 * len(sizes) {
			var out []byte
			require.NoError(t, p.host.Call(t.Context(), "m", n, &out, rpc.CallOptions{}))
			require.True(t, bytes.Equal(content(n, sizes[n%len(sizes)]), out))
		}
	})
}

func TestRequestBytes(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, inFlight := range []int{1, 4} {
			p := connect(t, ends, setup{inFlight: inFlight, handler: func(_ context.Context, r *rpc.Request) (any, error) {
				b, err := r.Bytes()
				switch {
				case err != nil:
					return nil, err
				case r.Method == "part":
					return b[len(b)/4 : len(b)/2], nil
				case r.Method == "panic":
					panic(fmt.Sprintf("%d bytes", len(b)))
				case r.Method == "error":
					return b, &rpc.RemoteError{Code: "mine", Data: encodedBytes(b[:min(len(b), 100)])}
				}
				return b, nil
			}})
			for n, size := range append([]int{0}, sizes...) {
				b, out := content(n, size), []byte(nil)
				require.NoError(t, p.host.Call(t.Context(), "echo", b, &out, rpc.CallOptions{}))
				require.True(t, bytes.Equal(b, out))
				require.NoError(t, p.host.Call(t.Context(), "part", b, &out, rpc.CallOptions{}))
				require.True(t, bytes.Equal(b[size/4:size/2], out))
				require.Equal(t, fmt.Sprintf("%d bytes", size), remote(t, p.host.Call(t.Context(), "panic", b, nil, rpc.CallOptions{})).Message)
				e := remote(t, p.host.Call(t.Context(), "error", b, nil, rpc.CallOptions{}))
				require.True(t, bytes.Equal(encodedBytes(b[:min(size, 100)]), e.Data))
			}
			for _, args := range []any{nil, 1, "text", []int{1}, map[string]int{}, string(make([]byte, 20<<10)), msgpack.RawMessage{0xc7, 1, 5, 0}} {
				e := remote(t, p.host.Call(t.Context(), "echo", args, nil, rpc.CallOptions{}))
				require.Equal(t, rpc.CodeBadArgs, e.Code)
				require.True(t, e.NotRun)
				require.Equal(t, "arguments of echo: they are no bytes", e.Message)
			}
		}
	})
}

// Arguments can be decoded again, into something else.
func TestDecodeTwice(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		p := connect(t, ends, setup{inFlight: 1, handler: func(_ context.Context, r *rpc.Request) (any, error) {
			var raw, again msgpack.RawMessage
			var b []byte
			for _, v := range []any{&raw, &b, &again, new(any)} {
				if err := r.Decode(v); err != nil {
					return nil, err
				}
			}
			if !bytes.Equal(raw, again) || !bytes.Equal(encodedBytes(b), raw) {
				return nil, io.ErrUnexpectedEOF
			}
			clear(again)
			return raw, nil
		}})
		for n, size := range sizes {
			out := []byte(nil)
			require.NoError(t, p.host.Call(t.Context(), "m", content(n, size), &out, rpc.CallOptions{}))
			require.True(t, bytes.Equal(content(n, size), out))
		}
	})
}

// P3: that half a large frame is there is noticed although it is not in the buffer.
func TestP3_LargeFrameStalls(t *testing.T) {
	for name, part := range map[string]int{"nothing but the header": 16, "the beginning": 16 + 50, "half": 16 + 50<<10, "all but the last byte": 16 + 100<<10 - 1} {
		bubbles(t, func(t *testing.T, ends makeEnds) {
			host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{FrameStall: 3 * time.Second})
			done := background(t.Context(), host, "m", nil)
			b := frame(reply, 0, w.expect(call).ID, make([]byte, 100<<10))
			go w.drop() // ends with the stream
			start := time.Now()
			w.write(b[:part])
			_, cause := delivery(t, (<-done).err)
			passed(t, start, 3*time.Second)
			require.ErrorIs(t, cause, rpc.ErrFrameStall, name)
			require.ErrorContains(t, cause, fmt.Sprintf("%d bytes of it came", part))
		})
	}
}

func TestEndInALargeFrame(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 8, rpc.HostOptions{})
		done := background(t.Context(), host, "m", nil)
		b := frame(reply, 0, w.expect(call).ID, make([]byte, 100<<10))
		go func() { // ends with the stream
			w.write(b[:50<<10])
			_ = w.s.Close()
		}()
		_, cause := delivery(t, (<-done).err)
		require.ErrorIs(t, cause, io.ErrUnexpectedEOF)
	})
}

// A call that the worker begins in a large frame, and gives up, is no call.
func TestP10_LargeCallGivenUpHalfway(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		_, w, _ := announceWire(t, ends, rpc.WorkerOptions{Handler: rpc.HandlerFunc(echo)})
		body := callBody(t, "m", make([]byte, 300<<10))
		total := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
		w.send(call, framing.More, 2, append(total, body[:200<<10]...))
		w.send(cancel, 0, 2, nil)
		require.Equal(t, uint64(2), w.expect(failed).ID)
		w.send(call, 0, 4, callBody(t, "m", content(4, 100<<10)))
		m := w.expect(reply)
		require.True(t, bytes.HasSuffix(m.Body, content(4, 100<<10)))
	})
}
