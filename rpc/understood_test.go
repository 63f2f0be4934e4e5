package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// payloadValue is the value of that place in the vector's JSON.
func payloadValue(t testing.TB, e wireEntry, at int) string {
	var m wireMessage
	require.NoError(t, json.Unmarshal([]byte(e.json), &m))
	return string(m.Payload[at].Value)
}

func reencoded(t testing.TB, v any) string {
	return valueJSON(t, msgpack.NewDecoder(bytes.NewReader(encode(t, v))))
}

// What a host of this implementation makes of the worker's half of a handshake.
func TestHostUnderstandsTheVectors(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		greeted := func(name string, after ...string) (*wire, connected, []string) {
			var said []string
			w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{Starting: func(m string) { said = append(said, m) }})
			w.write(golden(t, name).bytes())
			w.expect(welcome)
			_, err := w.read() // the frame that nobody knows
			require.NoError(t, err)
			for _, name := range after {
				w.write(golden(t, name).bytes())
			}
			c := <-done
			if c.peer != nil {
				t.Cleanup(func() { _ = c.peer.Close() })
			}
			return w, c, said
		}
		_, c, said := greeted("hello", "unknown-ignorable", "starting", "unknown-ignorable", "ready")
		require.NoError(t, c.err)
		require.JSONEq(t, payloadValue(t, golden(t, "hello"), 1), reencoded(t, c.peer.Hello()))
		require.JSONEq(t, payloadValue(t, golden(t, "starting"), 0), reencoded(t, map[string]string{"message": said[0]}))
		require.EqualValues(t, 2, c.peer.Stats().Ignored)

		_, c, _ = greeted("hello-smallest", "ready-methods")
		require.NoError(t, c.err)
		h := c.peer.Hello()
		require.Equal(t, rpc.Hello{
			Protocol: [2]int{1, 1}, InFlight: 1, Methods: []string{"echo"}, MaxFrame: 256 << 10, MaxMessage: 16 << 20, Window: 64 << 10,
		}, h)
		_, c, _ = greeted("hello-later", "ready")
		require.NoError(t, c.err)
		h = c.peer.Hello()
		require.Equal(t, []int{1, 3, 4711, -1, 4096}, []int{h.Protocol[0], h.Protocol[1], h.PID, h.InFlight, h.MaxFrame})

		_, c, _ = greeted("hello", "init_error")
		var failed *rpc.InitError
		require.ErrorAs(t, c.err, &failed)
		require.JSONEq(t, payloadValue(t, golden(t, "init_error"), 0), reencoded(t, failed))
	})
}

// What it makes of the answers to a call.
func TestHostUnderstandsTheAnswers(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, v := range vectors {
			if v.direction != toHost || v.typ != reply && v.typ != failed {
				continue
			}
			host, w, _ := connectWire(t, ends, 1, rpc.HostOptions{})
			called := background(t.Context(), host, "echo", "hello")
			w.expect(call)
			e := golden(t, v.name)
			w.write(e.bytes())
			r := <-called
			if v.typ == reply {
				require.NoError(t, r.err, v.name)
				require.Equal(t, payloadValue(t, e, 0), valueJSON(t, msgpack.NewDecoder(bytes.NewReader(r.reply))), v.name)
				continue
			}
			answered := remote(t, r.err)
			require.JSONEq(t, payloadValue(t, e, 0), reencoded(t, answered), v.name)
			require.Equal(t, v.flags&framing.NotRun != 0, answered.NotRun, v.name)
		}
	})
}

// Everything that only one version speaks of, or that this implementation does not ask for, is skipped and counted, and the connection goes on.
func TestVectorsThatAreIgnored(t *testing.T) {
	skipped := []uint8{started, progress, streamData, credit, streamEnd, streamReset, logLine, notify, pad, grease, unknown}
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 1, rpc.HostOptions{})
		called := background(t.Context(), host, "echo", "hello")
		w.expect(call)
		worker, v, _ := announceWire(t, ends, serving(1, rpc.HandlerFunc(echo)))
		n := 0
		for _, vector := range vectors {
			if slices.Contains(skipped, vector.typ) {
				n++
				w.write(golden(t, vector.name).bytes())
				v.write(golden(t, vector.name).bytes())
			}
		}
		w.write(golden(t, "reply").bytes())
		require.NoError(t, (<-called).err)
		require.EqualValues(t, n, host.Stats().Ignored)
		v.write(golden(t, "call").bytes())
		require.Equal(t, golden(t, "reply").bytes(), v.rawMessage(reply))
		require.EqualValues(t, n, worker.Stats().Ignored)
		require.GreaterOrEqual(t, n, len(skipped))
	})
}

// What a worker makes of each call.
func TestWorkerUnderstandsTheCalls(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, v := range vectors {
			if v.direction != toWorker || v.typ != call {
				continue
			}
			e := golden(t, v.name)
			var prelude []any
			require.NoError(t, json.Unmarshal([]byte(payloadValue(t, e, 0)), &prelude))
			heard := make(chan rpc.Request, 1)
			var args msgpack.RawMessage
			var budget time.Duration
			_, w, _ := announceWire(t, ends, serving(1, rpc.HandlerFunc(func(ctx context.Context, r *rpc.Request) (any, error) {
				if deadline, ok := ctx.Deadline(); ok {
					budget = time.Until(deadline)
				}
				err := r.Decode(&args)
				heard <- rpc.Request{Method: r.Method, Attempt: r.Attempt, Metadata: r.Metadata}
				return nil, err
			})))
			w.write(e.bytes())
			r := <-heard
			require.Equal(t, prelude[0], r.Method, v.name)
			require.InDelta(t, prelude[1].(float64)/1e6, budget.Seconds(), 0.5, v.name)
			require.EqualValues(t, prelude[2], r.Attempt, v.name)
			want, _ := prelude[3].(map[string]any)
			require.Len(t, r.Metadata, len(want), v.name)
			for key, value := range r.Metadata {
				require.Equal(t, want[key], value, v.name)
			}
			require.Equal(t, payloadValue(t, e, 1), valueJSON(t, msgpack.NewDecoder(bytes.NewReader(args))), v.name)
			w.rawMessage(reply)
		}
	})
}

// And of what the host says of the connection.
func TestWorkerUnderstandsTheVectors(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		announce := func(name string) (*rpc.Peer, error) {
			hostEnd, workerEnd := ends(t)
			w := newWire(t, hostEnd)
			go func() { // ends with the answer
				w.rawMessage(hello)
				w.write(golden(t, name).bytes())
			}()
			worker, err := rpc.Announce(t.Context(), workerEnd, rpc.WorkerOptions{Hello: rpc.Hello{InFlight: 4}})
			t.Cleanup(func() {
				_ = hostEnd.Close()
				_ = workerEnd.Close()
			})
			return worker, err
		}
		worker, err := announce("welcome")
		require.NoError(t, err)
		require.JSONEq(t, payloadValue(t, golden(t, "welcome"), 0), reencoded(t, worker.Welcome()))
		require.Equal(t, 2, worker.Capacity())
		_, err = announce("refuse")
		var refused *rpc.RefusedError
		require.ErrorAs(t, err, &refused)
		require.JSONEq(t, payloadValue(t, golden(t, "refuse"), 0), reencoded(t, refused))

		for _, name := range []string{"shutdown-drain", "shutdown-now"} {
			asked := make(chan string, 1)
			o := serving(1, rpc.HandlerFunc(echo))
			o.Shutdown = func(now bool, grace time.Duration) {
				mode := map[bool]string{false: "drain", true: "now"}[now]
				asked <- reencoded(t, map[string]any{"mode": mode, "ms": grace.Milliseconds()})
			}
			_, w, _ := announceWire(t, ends, o)
			w.write(golden(t, name).bytes())
			require.JSONEq(t, payloadValue(t, golden(t, name), 0), <-asked)
		}
		for _, name := range []string{"cancel", "cancel-reason"} {
			_, w, _ := announceWire(t, ends, serving(1, rpc.HandlerFunc(func(ctx context.Context, _ *rpc.Request) (any, error) {
				<-ctx.Done()
				return nil, errors.Join(errGone, ctx.Err())
			})))
			w.write(golden(t, "call").bytes())
			w.write(golden(t, name).bytes())
			code, _ := answer(t, w.expect(failed))
			require.Equal(t, rpc.CodeCancelled, code)
		}
	})
}
