package rpc_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/rpc"
)

// The arguments are the caller's again when Call has returned, also where their frame is still being written: the rest of it is a copy.
func TestArgumentsAreTheCallersAgain(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 1, rpc.HostOptions{})
		args := make([]byte, 200<<10)
		ctx, cancelCall := context.WithCancel(t.Context())
		watched := watch(ctx)
		done := background(watched, host, "m", args)
		w.begin()
		<-watched.waiting
		cancelCall()
		require.Error(t, (<-done).err)
		for i := range args {
			args[i] = 0xff // the race detector watches, too
		}
		m := w.expect(call)
		require.True(t, bytes.HasSuffix(m.Body, make([]byte, len(args))), "what the arguments were when the call was made")
		w.expect(cancel)
		w.send(failed, 0, m.ID, []byte{0x80})
		<-freed
	})
}

// What a caller or a handler has got stays as it is, whatever comes later.
func TestResultsAndInputsAreNobodyElses(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		var mu sync.Mutex
		var inputs [][]byte
		var raws []msgpack.RawMessage
		p := connect(t, ends, setup{inFlight: 4, handler: func(_ context.Context, r *rpc.Request) (any, error) {
			var in []byte
			var raw msgpack.RawMessage
			if err := r.Decode(&in); err != nil {
				return nil, err
			}
			if err := r.Decode(&raw); err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			inputs, raws = append(inputs, in), append(raws, raw)
			return in, nil
		}})
		const calls = 40
		outs, rawOuts := make([][]byte, calls), make([]msgpack.RawMessage, calls)
		content := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, []int{10, 3000, 70_000}[i%3]) }
		for i := range calls {
			require.NoError(t, p.host.Call(t.Context(), "m", content(i), &outs[i], rpc.CallOptions{}))
			require.NoError(t, p.host.Call(t.Context(), "m", content(i), &rawOuts[i], rpc.CallOptions{}))
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range calls {
			raw := msgpack.RawMessage(encoded(t, content(i)))
			require.True(t, bytes.Equal(content(i), outs[i]))
			require.True(t, bytes.Equal(raw, rawOuts[i]))
			require.True(t, bytes.Equal(content(i), inputs[2*i]))
			require.True(t, bytes.Equal(raw, raws[2*i+1]))
		}
	})
}
