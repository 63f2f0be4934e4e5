package rpc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

func goodbyeBody(t testing.TB, lastID uint64) []byte {
	return encoded(t, map[string]any{"reason": "tired", "last_id": lastID})
}

// Calls that run are answered first, then comes the goodbye; what comes later is refused before it and dropped after it.
func TestShutdownAnswersFirst(t *testing.T) {
	bothInFlights(t, func(t *testing.T, ends makeEnds, inFlight int) {
		for _, mode := range []string{"drain", "now"} {
			g := newGate()
			_, w, served := announceWire(t, ends, serving(inFlight, g))
			for i := range inFlight {
				w.send(call, 0, uint64(2*i+2), callBody(t, "wait", nil))
				<-g.entered
			}
			w.send(shutdown, 0, 0, encoded(t, map[string]any{"mode": mode, "ms": 5000}))
			if mode == "drain" {
				w.send(call, 0, 50, callBody(t, "late", nil))
				m := w.next()
				code, notRun := answer(t, m)
				require.EqualValues(t, 50, m.ID)
				require.Equal(t, rpc.CodeShuttingDown, code)
				require.True(t, notRun)
				close(g.open)
			}
			for range inFlight {
				if m := w.next(); mode == "now" {
					code, notRun := answer(t, m)
					require.Equal(t, rpc.CodeShuttingDown, code, "the caller has not canceled it")
					require.False(t, notRun)
				} else {
					require.Equal(t, reply, int(m.Type))
				}
			}
			m := w.expect(goodbye)
			require.EqualValues(t, 2*inFlight, decoded[map[string]any](t, m.Body)["last_id"])
			w.send(call, 0, 60, callBody(t, "discarded", nil))
			w.send(ping, 0, 0, []byte("1"))
			w.expect(pong)
			require.NoError(t, w.s.CloseWrite())
			require.ErrorIs(t, <-served, io.EOF)
		}
	})
}

// The goodbye of a shutdown comes behind the last frame of the last answer, however large that is.
func TestGoodbyeWaitsForLargeAnswers(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		g := newGate()
		worker, w, _ := announceWire(t, ends, serving(3, rpc.HandlerFunc(func(ctx context.Context, r *rpc.Request) (any, error) {
			if r.Method == "large" {
				return make([]byte, 3<<20), nil
			}
			return g.ServeCall(ctx, r)
		})))
		w.send(call, 0, 2, callBody(t, "wait", nil))
		<-g.entered
		w.send(call, 0, 4, callBody(t, "large", nil))
		w.begin() // the large answer is under way
		worker.Goodbye(strings.Repeat("why ", 1000), false)
		close(g.open)
		types := []uint8{w.next().Type, w.next().Type, w.next().Type}
		require.Equal(t, []uint8{reply, reply, goodbye}, types)
	})
}

func TestGoodbyeFailsWhatWasNotAccepted(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		said := make(chan string, 10)
		host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{Goodbye: func(reason string) { said <- reason }})
		accepted := background(t.Context(), host, "accepted", nil)
		require.EqualValues(t, 2, w.expect(call).ID)
		above := background(t.Context(), host, "above", nil)
		require.EqualValues(t, 4, w.expect(call).ID)
		ctx, cancelCall := context.WithCancel(t.Context())
		left := background(ctx, host, "left", nil)
		require.EqualValues(t, 6, w.expect(call).ID)
		cancelCall()
		require.ErrorIs(t, (<-left).err, context.Canceled)
		w.expect(cancel)

		w.send(goodbye, 0, 0, goodbyeBody(t, 2))
		require.Equal(t, "tired", <-said)
		d, cause := delivery(t, (<-above).err)
		require.Equal(t, rpc.NotSent, d)
		require.ErrorIs(t, cause, rpc.ErrGoodbye)
		<-freed
		<-freed
		d, cause = delivery(t, host.Call(t.Context(), "later", nil, nil, rpc.CallOptions{}))
		require.Equal(t, rpc.NotSent, d)
		require.ErrorIs(t, cause, rpc.ErrGoodbye)
		<-freed

		w.send(goodbye, 0, 0, goodbyeBody(t, 0)) // a second one says nothing
		w.send(reply, 0, 2, []byte{0x01})
		require.NoError(t, (<-accepted).err, "what was accepted is answered")
		<-freed
		pinged := make(chan error, 1)
		go func() { pinged <- host.Ping(t.Context()) }() // ends with the answer
		w.send(pong, 0, 0, w.expect(ping).Body)
		require.NoError(t, <-pinged, "the connection lives")
		require.Empty(t, said)
		require.EqualValues(t, 1, host.Stats().Ignored)
	})
}

// Between two Peers, with calls running and calls coming all the time: each ends, and nothing was run that is said not to have been.
func TestShutdownUnderLoad(t *testing.T) {
	bothInFlights(t, func(t *testing.T, ends makeEnds, inFlight int) {
		said, busy := make(chan string, 1), make(chan struct{})
		var ran sync.Map
		var count atomic.Int64
		p := connect(t, ends, setup{
			inFlight: inFlight, host: rpc.HostOptions{Goodbye: func(reason string) { said <- reason }},
			handler: func(_ context.Context, r *rpc.Request) (any, error) {
				var n int
				err := r.Decode(&n)
				ran.Store(n, true)
				if count.Add(1) == 20 {
					close(busy)
				}
				return n, err
			},
		})
		type failure struct {
			n   int
			err error
		}
		failures := make(chan failure, inFlight)
		for caller := range inFlight {
			go func() { // ends with the first failure
				for n := caller * 1_000_000; ; n++ {
					if err := p.host.Call(t.Context(), "m", n, nil, rpc.CallOptions{}); err != nil {
						failures <- failure{n, err}
						return
					}
				}
			}()
		}
		<-busy
		require.NoError(t, p.host.Shutdown(false, time.Minute))
		require.Equal(t, "shutdown", <-said)
		for range inFlight {
			f := <-failures
			if d := (*rpc.CallError)(nil); errors.As(f.err, &d) {
				require.Equal(t, rpc.NotSent, d.Delivery)
			} else {
				require.True(t, remote(t, f.err).NotRun)
			}
			_, executed := ran.Load(f.n)
			require.False(t, executed)
		}
	})
}

func TestShutdownCallbackDecides(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		type asked struct {
			now   bool
			grace time.Duration
		}
		heard := make(chan asked, 2)
		said := make(chan string, 1)
		p := connect(t, ends, setup{
			handler: echo, host: rpc.HostOptions{Goodbye: func(reason string) { said <- reason }},
			shutdown: func(now bool, grace time.Duration) { heard <- asked{now, grace} },
		})
		require.NoError(t, p.host.Shutdown(false, 3*time.Second))
		require.Equal(t, asked{false, 3 * time.Second}, <-heard)
		require.NoError(t, p.host.Shutdown(true, -time.Second))
		require.Equal(t, asked{true, 0}, <-heard)
		require.NoError(t, p.host.Call(t.Context(), "echo", 1, nil, rpc.CallOptions{}), "nothing has been decided")
		p.worker.Goodbye("enough", false)
		require.Equal(t, "enough", <-said)
	})
}

// docs/protocol.md, 8: a call that is still coming in parts, and that a later one has overtaken, does not hold the goodbye of a shutdown up.
func TestGoodbye_BeforeACallThatComesInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, _ := announceWire(t, ringEnds, rpc.WorkerOptions{Hello: rpc.Hello{InFlight: 4},
			Handler: rpc.HandlerFunc(func(context.Context, *rpc.Request) (any, error) { return 1, nil })})
		body := callBody(t, "m", "hello")
		w.send(call, framing.More, 2, append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body[:3]...))
		w.send(call, 0, 4, body)
		require.EqualValues(t, 4, w.expect(reply).ID)
		w.send(shutdown, 0, 0, encoded(t, map[string]any{"mode": "drain"}))
		w.expect(goodbye)
		w.send(call, 0, 2, body[3:])
		refusal := w.expect(failed)
		require.EqualValues(t, 2, refusal.ID)
		require.NotZero(t, refusal.Flags&framing.NotRun)
	})
}
