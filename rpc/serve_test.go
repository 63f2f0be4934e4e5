package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// gate is a handler that waits: "wait" until it is opened or its context ends, anything else not at all.
type gate struct {
	entered chan string
	open    chan struct{}
}

func newGate() *gate { return &gate{entered: make(chan string, 100), open: make(chan struct{})} }

func (g *gate) ServeCall(ctx context.Context, r *rpc.Request) (any, error) {
	if r.Method != "wait" {
		return r.Method, nil
	}
	g.entered <- r.Method
	select {
	case <-g.open:
		return "waited", nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer takes apart an error message.
func answer(t testing.TB, m framing.Message) (code string, notRun bool) {
	t.Helper()
	require.Equal(t, failed, int(m.Type), "%q", m.Body)
	return decoded[map[string]any](t, m.Body)["code"].(string), m.Flags&framing.NotRun != 0
}

func bothInFlights(t *testing.T, test func(t *testing.T, ends makeEnds, inFlight int)) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, inFlight := range []int{1, 3} {
			t.Run(fmt.Sprint("inflight=", inFlight), func(t *testing.T) { test(t, ends, inFlight) })
		}
	})
}

func serving(inFlight int, h rpc.Handler) rpc.WorkerOptions {
	return rpc.WorkerOptions{Hello: rpc.Hello{InFlight: inFlight}, Handler: h}
}

// While handlers run, pings are answered, cancels arrive and further calls are refused: also where the handler runs on the goroutine that reads.
func TestP7_ReaderDoesNotWaitForHandlers(t *testing.T) {
	bothInFlights(t, func(t *testing.T, ends makeEnds, inFlight int) {
		g := newGate()
		_, w, _ := announceWire(t, ends, serving(inFlight, g))
		for i := range inFlight {
			w.send(call, 0, uint64(2*i+2), callBody(t, "wait", nil))
			<-g.entered
		}
		w.send(ping, 0, 0, []byte("are you there?"))
		require.Equal(t, "are you there?", string(w.expect(pong).Body))

		w.send(call, 0, 100, callBody(t, "one too many", nil))
		m := w.next()
		code, notRun := answer(t, m)
		require.EqualValues(t, 100, m.ID)
		require.Equal(t, rpc.CodeOverloaded, code)
		require.True(t, notRun)

		w.send(cancel, 0, 2, nil)
		m = w.next()
		code, notRun = answer(t, m)
		require.EqualValues(t, 2, m.ID)
		require.Equal(t, rpc.CodeCancelled, code)
		require.False(t, notRun)

		w.send(call, 0, 102, callBody(t, "next", nil)) // the place is free
		require.EqualValues(t, 102, w.expect(reply).ID)
		close(g.open)
		for i := 1; i < inFlight; i++ {
			require.Equal(t, "waited", decoded[string](t, w.expect(reply).Body))
		}
	})
}

func TestP29_EndOfInputEndsHandlers(t *testing.T) {
	bothInFlights(t, func(t *testing.T, ends makeEnds, inFlight int) {
		g := newGate()
		worker, w, served := announceWire(t, ends, serving(inFlight, g))
		for i := range inFlight {
			w.send(call, 0, uint64(2*i+2), callBody(t, "wait", nil))
			<-g.entered
		}
		require.NoError(t, w.s.CloseWrite())
		for range inFlight {
			code, _ := answer(t, w.next())
			require.Equal(t, rpc.CodeCancelled, code)
		}
		require.ErrorIs(t, <-served, io.EOF)
		<-worker.Done()
		require.ErrorIs(t, worker.Err(), io.EOF)
	})
}

// Calls that come together with the end of input are answered: their handlers are not entered.
func TestCallsBeforeTheEndOfInputAreAnswered(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for range 20 {
			g := newGate()
			_, w, served := announceWire(t, ends, serving(8, g))
			b := []byte(nil)
			for id := uint64(2); id <= 16; id += 2 {
				b = append(b, frame(call, 0, id, callBody(t, "wait", nil))...)
			}
			w.write(b)
			require.NoError(t, w.s.CloseWrite())
			for range 8 {
				code, _ := answer(t, w.next())
				require.Equal(t, rpc.CodeCancelled, code)
			}
			require.ErrorIs(t, <-served, io.EOF)
		}
	})
}

// A handler may call the host, and its answer is read though the handler has the only place; without waiting for the sweeper.
func TestHandlerCallsTheHost(t *testing.T) {
	test := func(t *testing.T, ends makeEnds, inFlight int) (elapsed time.Duration) {
		var p *pair
		ready := make(chan struct{})
		p = connect(t, ends, setup{
			inFlight: inFlight,
			handler: func(ctx context.Context, r *rpc.Request) (any, error) {
				<-ready
				if err := p.worker.Ping(ctx); err != nil {
					return nil, err
				}
				var n int
				err := p.worker.Call(ctx, "more", 20, &n, rpc.CallOptions{})
				return n + 1, err
			},
			host: rpc.HostOptions{Handler: rpc.HandlerFunc(func(_ context.Context, r *rpc.Request) (any, error) {
				var n int
				err := r.Decode(&n)
				return 2 * n, err
			})},
		})
		close(ready)
		began := time.Now()
		for range 30 {
			var n int
			require.NoError(t, p.host.Call(t.Context(), "ask", nil, &n, rpc.CallOptions{}))
			require.Equal(t, 41, n)
		}
		return time.Since(began)
	}
	bothInFlights(t, func(t *testing.T, ends makeEnds, inFlight int) { test(t, ends, inFlight) })
	bubbles(t, func(t *testing.T, ends makeEnds) { require.Zero(t, test(t, ends, 1)) })
}

// P15: a handler that returns the error of a call which it made has run, whatever that error says of the other call.
func TestP15_NotRunIsNotPassedOn(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		p := connect(t, ends, setup{handler: func(_ context.Context, r *rpc.Request) (any, error) {
			return nil, rpc.UnknownMethod(r.Method)
		}})
		refused := p.host.Call(t.Context(), "other", nil, nil, rpc.CallOptions{})
		require.True(t, remote(t, refused).NotRun)

		_, w, _ := announceWire(t, ends, serving(1, rpc.HandlerFunc(func(context.Context, *rpc.Request) (any, error) {
			return nil, fmt.Errorf("it did something, then: %w", refused)
		})))
		w.send(call, 0, 2, callBody(t, "m", nil))
		code, notRun := answer(t, w.next())
		require.Equal(t, rpc.CodeUnknownMethod, code)
		require.False(t, notRun)
	})
}

// A handler that returns the error of a call to a side which is shutting down does not say that its own side is.
func TestShuttingDownIsNotPassedOn(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, flags := range []framing.Flags{0, framing.NotRun} {
			host, w, _ := connectWire(t, ends, 1, rpc.HostOptions{})
			done := background(t.Context(), host, "other", nil)
			w.send(failed, flags, w.expect(call).ID, encoded(t, map[string]any{"code": "shutting_down", "message": "tired"}))
			left := (<-done).err
			require.Equal(t, rpc.CodeShuttingDown, remote(t, left).Code)

			_, w, _ = announceWire(t, ends, serving(1, rpc.HandlerFunc(func(context.Context, *rpc.Request) (any, error) {
				return nil, fmt.Errorf("it did something, then: %w", left)
			})))
			w.send(call, 0, 2, callBody(t, "m", nil))
			m := w.next()
			code, notRun := answer(t, m)
			require.Equal(t, rpc.CodeError, code)
			require.False(t, notRun)
			require.Equal(t, "shutting_down: tired", decoded[map[string]any](t, m.Body)["message"])
		}
	})
}

// Calls to the host which canceled handlers have left behind do not take the places of those that come after them.
func TestAbandonedCallsToTheHostDoNotOverload(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		entered, leave := make(chan struct{}), make(chan struct{})
		var p *pair
		set := make(chan struct{})
		p = connect(t, ends, setup{
			handler: func(ctx context.Context, r *rpc.Request) (any, error) {
				<-set
				return nil, p.worker.Call(ctx, r.Method, nil, nil, rpc.CallOptions{})
			},
			host: rpc.HostOptions{Handler: rpc.HandlerFunc(func(ctx context.Context, r *rpc.Request) (any, error) {
				if r.Method == "slow" {
					close(entered)
					<-leave // it does not look at its context
				}
				return nil, nil
			})},
		})
		close(set)
		ctx, cancelCall := context.WithCancel(t.Context())
		slow := background(ctx, p.host, "slow", nil)
		<-entered
		cancelCall()
		require.ErrorIs(t, (<-slow).err, context.Canceled)
		for {
			err := p.host.Call(t.Context(), "quick", nil, nil, rpc.CallOptions{})
			var early *rpc.RemoteError
			if errors.As(err, &early) && early.NotRun { // the canceled handler has not returned yet
				continue
			}
			require.NoError(t, err)
			break
		}
		close(leave)
	})
}

func TestHostWithoutHandlerRefuses(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 1, rpc.HostOptions{})
		for id := uint64(1); id < 10; id += 2 {
			w.send(call, 0, id, callBody(t, "m", nil))
			code, notRun := answer(t, w.next())
			require.Equal(t, rpc.CodeUnknownMethod, code)
			require.True(t, notRun)
		}
		require.NoError(t, host.Err())
	})
}

// A worker that floods the host with calls and reads no answers cannot fill its memory.
func TestP7_FloodOfCallsEndsTheConnection(t *testing.T) {
	eachHostMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 1, rpc.HostOptions{})
		go func() { // ends with the stream
			for b, id := []byte(nil), uint64(1); ; b = b[:0] {
				for range 1000 {
					b = append(b, frame(call, 0, id, nil)...)
					id += 2
				}
				if _, err := w.s.Write(b); err != nil {
					return
				}
			}
		}()
		<-host.Done()
		require.ErrorContains(t, host.Err(), "whose answers are not read")
		require.NoError(t, host.Close())
	})
}

func TestWhatHandlersMayGetWrong(t *testing.T) {
	type nilError struct{ error }
	bothInFlights(t, func(t *testing.T, ends makeEnds, inFlight int) {
		_, w, _ := announceWire(t, ends, serving(inFlight, rpc.HandlerFunc(func(ctx context.Context, r *rpc.Request) (any, error) {
			switch r.Method {
			case "nil remote error":
				return nil, (*rpc.RemoteError)(nil)
			case "nil error":
				return nil, (*nilError)(nil)
			case "panic":
				panic(errors.New("at the disco"))
			case "exit":
				runtime.Goexit()
			case "bad data":
				return nil, &rpc.RemoteError{Code: "mine", Message: "text", Data: msgpack.RawMessage{0x92}}
			case "wrapped":
				return nil, fmt.Errorf("around: %w", &rpc.RemoteError{Code: "mine", NotRun: true})
			}
			return nil, nil
		})))
		id := uint64(0)
		ask := func(method string) framing.Message {
			id += 2
			w.send(call, 0, id, callBody(t, method, nil))
			m := w.next()
			require.Equal(t, id, m.ID)
			return m
		}
		for method, want := range map[string]string{
			"nil remote error": "panic", "nil error": "panic", "panic": "panic", "exit": "panic", "bad data": "mine", "wrapped": "mine",
		} {
			for range inFlight + 1 { // nothing gets lost on the way
				m := ask(method)
				code, notRun := answer(t, m)
				require.Equal(t, want, code, method)
				require.Equal(t, method == "wrapped", notRun)
			}
		}
		require.Equal(t, reply, int(ask("fine").Type))
	})
}

func TestCallsThatAreNone(t *testing.T) {
	args := []byte{0xc0}
	for name, c := range map[string]struct {
		body []byte
		want string
	}{
		"nothing":           {nil, rpc.CodeBadArgs},
		"no array":          {[]byte{0x07}, rpc.CodeBadArgs},
		"3 elements":        {encoded(t, []any{"m", 0, 1}), rpc.CodeBadArgs},
		"method no text":    {append(encoded(t, []any{1, 0, 1, nil}), args...), rpc.CodeBadArgs},
		"no method":         {append(encoded(t, []any{"", uint(0), uint(1), nil}), args...), rpc.CodeBadArgs},
		"method too long":   {append(encoded(t, []any{strings.Repeat("m", 256), uint(0), uint(1), nil}), args...), rpc.CodeBadArgs},
		"negative budget":   {append(encoded(t, []any{"m", -1, uint(1), nil}), args...), rpc.CodeBadArgs},
		"attempt no number": {append(encoded(t, []any{"m", uint(0), "1", nil}), args...), rpc.CodeBadArgs},
		"metadata no map":   {append(encoded(t, []any{"m", uint(0), uint(1), 7}), args...), rpc.CodeBadArgs},
		"metadata a bomb":   {append(encoded(t, []any{"m", uint(0), uint(1)}), 0xdf, 0xff, 0xff, 0xff, 0xff), rpc.CodeBadArgs},
		"no arguments":      {encoded(t, []any{"m", uint(0), uint(1), nil}), rpc.CodeBadArgs},
		"two arguments":     {append(encoded(t, []any{"m", uint(0), uint(1), nil}), 1, 2), rpc.CodeBadArgs},
		"arguments a bomb":  {append(encoded(t, []any{"m", uint(0), uint(1), nil}), 0xdd, 0xff, 0xff, 0xff, 0xff), rpc.CodeBadArgs},
		"of a later time":   {append(encoded(t, []any{"m", uint(0), uint(1), nil, "new", []int{1}}), args...), ""},
		"wide numbers":      {append(encoded(t, []any{"m", uint64(1) << 60, uint64(1) << 60, map[string]string{"a": "b"}}), args...), ""},
	} {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			worker, w, _ := announceWire(t, ends, serving(1, rpc.HandlerFunc(func(_ context.Context, r *rpc.Request) (any, error) {
				var v any
				return nil, r.Decode(&v)
			})))
			w.send(call, 0, 2, c.body)
			m := w.next()
			if c.want == "" {
				require.Equal(t, reply, int(m.Type), "%s: %q", name, m.Body)
			} else {
				code, notRun := answer(t, m)
				require.Equal(t, c.want, code, name)
				require.True(t, notRun, name)
			}
			require.NoError(t, worker.Err())
		})
	}
}

// What breaks a connection: docs/protocol.md, section 11. The error quotes what there is to quote.
func TestP1_ViolationsEndTheConnection(t *testing.T) {
	zero := []byte{0, 0, 0, 9}
	for name, c := range map[string]struct {
		toHost bool
		sent   []byte
		want   string
	}{
		"print to stdout":            {true, []byte("debug: x=1\n"), `"debug: x=1\n": no frame begins here; did something print to stdout?`},
		"unknown type":               {true, frame(0x2A, 0, 0, []byte("payload")), `unknown type 0x2a with "payload"; did something print to stdout?`},
		"hello again":                {true, frame(hello, 0, 0, nil), "hello after the handshake"},
		"shutdown of the host":       {true, frame(shutdown, 0, 0, []byte{0x80}), "shutdown from a worker"},
		"malformed goodbye":          {true, frame(goodbye, 0, 0, []byte{0x01}), "malformed goodbye"},
		"even id":                    {true, frame(call, 0, 2, nil), "call id 2 after 0"},
		"too long":                   {true, framing.Header{Type: reply, Length: 1 << 20, ID: 2}.Append(nil), "over the limit of 262144"},
		"parts":                      {true, append(frame(reply, framing.More, 2, append(zero, 'x')), frame(reply, 0, 2, nil)...), "of the 9 announced"},
		"print to stdin":             {false, []byte("hi\n"), "no frame begins here"},
		"odd id":                     {false, frame(call, 0, 1, nil), "call id 1 after 0"},
		"id 0":                       {false, frame(call, 0, 0, nil), "call id 0 after 0"},
		"same id":                    {false, append(frame(call, 0, 4, nil), frame(call, 0, 4, nil)...), "call id 4 after 4"},
		"lower id":                   {false, append(frame(call, 0, 4, nil), frame(call, 0, 2, nil)...), "call id 2 after 4"},
		"lower id, in parts":         {false, append(frame(call, 0, 4, nil), frame(call, framing.More, 2, append(zero, 'x'))...), "call id 2 after 4"},
		"same id, while it's open":   {false, append(frame(call, framing.More, 2, append(zero, 'x')), frame(call, framing.More, 2, nil)...), "empty part"},
		"welcome again":              {false, frame(welcome, 0, 0, nil), "welcome after the handshake"},
		"shutdown that is no map":    {false, frame(shutdown, 0, 0, []byte{0x01}), "malformed shutdown"},
		"ready, which is a worker's": {false, frame(ready, 0, 0, []byte{0x80}), "ready after the handshake"},
	} {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			var p *rpc.Peer
			var w *wire
			if c.toHost {
				var host *counted
				host, w, _ = connectWire(t, ends, 1, rpc.HostOptions{})
				p = host.Peer
			} else {
				p, w, _ = announceWire(t, ends, serving(1, newGate()))
			}
			go w.drop() // ends with the stream
			w.write(c.sent)
			<-p.Done()
			var violation *rpc.ProtocolError
			require.ErrorAs(t, p.Err(), &violation, name)
			require.ErrorContains(t, p.Err(), c.want, name)
			require.Equal(t, 1, strings.Count(p.Err().Error(), "protocol violation"))
		})
	}
}

func TestIgnorableIsIgnored(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		worker, w, _ := announceWire(t, ends, serving(1, newGate()))
		w.send(0x35, framing.Ignorable, 7, []byte("new in version 2"))
		w.send(0x35, framing.Ignorable|framing.More, 9, []byte("\x00\x00\x00\x06new"))
		w.send(0x35, 0, 9, []byte("er."))
		w.send(pad, framing.Ignorable, 0, make([]byte, 1000))
		w.send(0x80-0x40, framing.Ignorable, 0, nil) // type 0
		w.send(ping, 0, 0, []byte("1"))
		w.expect(pong)
		require.NoError(t, worker.Err())
		require.Equal(t, rpc.Stats{Ignored: 4}, worker.Stats())
	})
}

// A sender gives up a call by a cancel in place of its rest. It is answered, so that its place can be counted (P10).
func TestP10_CallGivenUpHalfwayIsAnswered(t *testing.T) {
	bothInFlights(t, func(t *testing.T, ends makeEnds, inFlight int) {
		_, w, _ := announceWire(t, ends, serving(inFlight, newGate()))
		w.send(call, framing.More, 2, []byte("\x00\x00\x10\x00the beginning"))
		w.send(cancel, 0, 2, nil)
		m := w.next()
		code, notRun := answer(t, m)
		require.EqualValues(t, 2, m.ID)
		require.Equal(t, rpc.CodeCancelled, code)
		require.True(t, notRun)
		w.send(call, 0, 4, callBody(t, "next", nil))
		require.EqualValues(t, 4, w.expect(reply).ID)
	})
}

// Calls in parts take memory only as long as there are places, and those beyond are overload, not "too large".
func TestCallsInPartsTakePlaces(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		_, w, _ := announceWire(t, ends, rpc.WorkerOptions{Hello: rpc.Hello{InFlight: 2, MaxFrame: 1024, MaxMessage: 8192}, Handler: newGate()})
		body := callBody(t, "m", make([]byte, 2000))
		parts := [][]byte{append([]byte{0, 0, 0, 0}, body[:900]...), body[900:1800], body[1800:]}
		putUint32(parts[0], uint32(len(body)))
		for _, b := range parts[:2] {
			for id := uint64(2); id <= 8; id += 2 {
				w.send(call, framing.More, id, b)
			}
		}
		for id := uint64(2); id <= 8; id += 2 { // each is answered before the next one is complete
			w.send(call, 0, id, parts[2])
			m := w.next()
			require.Equal(t, id, m.ID)
			if id <= 4 {
				require.Equal(t, reply, int(m.Type))
				continue
			}
			code, notRun := answer(t, m)
			require.Equal(t, rpc.CodeOverloaded, code)
			require.True(t, notRun)
		}
		w.send(call, framing.More, 20, []byte{0, 0, 0x20, 0x01, 'x'}) // 8,193
		for range 8 {
			w.send(call, framing.More, 20, make([]byte, 1000))
		}
		w.send(call, 0, 20, make([]byte, 192))
		code, notRun := answer(t, w.next())
		require.Equal(t, rpc.CodeTooLarge, code)
		require.True(t, notRun)
	})
}

// Who answers at length keeps neither the next call nor a ping from being answered.
func TestLargeAnswersDoNotHoldOthersUp(t *testing.T) {
	bothInFlights(t, func(t *testing.T, ends makeEnds, inFlight int) {
		small := make(chan context.Context, 1)
		_, w, _ := announceWire(t, ends, serving(inFlight, rpc.HandlerFunc(func(ctx context.Context, r *rpc.Request) (any, error) {
			if r.Method == "large" {
				return make([]byte, 3<<20), nil
			}
			small <- ctx
			return []byte{}, nil
		})))
		w.send(call, 0, 2, callBody(t, "large", nil))
		w.begin() // its answer is under way
		w.send(ping, 0, 0, []byte("1"))
		w.send(call, 0, 4, callBody(t, "small", nil))
		<-(<-small).Done() // a handler's context ends when its answer is on its way; until here nobody has read the rest of the large one
		first, second := w.next(), w.next()
		require.ElementsMatch(t, []uint8{reply, pong}, []uint8{first.Type, second.Type})
		require.EqualValues(t, 4, first.ID+second.ID)
		m := w.expect(reply)
		require.EqualValues(t, 2, m.ID)
		require.Equal(t, 3<<20+5, m.Size)
	})
}

func TestAbortedPeerRefusesCalls(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		worker, w, _ := announceWire(t, ends, serving(1, newGate()))
		worker.Abort(errGone)
		w.send(call, 0, 2, callBody(t, "m", nil))
		code, notRun := answer(t, w.next())
		require.Equal(t, rpc.CodeShuttingDown, code)
		require.True(t, notRun)
	})
}

func TestStartedIsSentIfAsked(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		_, w, _ := announceWire(t, ends, serving(1, newGate()))
		w.send(call, framing.WantStarted, 2, callBody(t, "m", nil))
		require.EqualValues(t, 2, w.expect(started).ID)
		require.EqualValues(t, 2, w.expect(reply).ID)
	})
}

// Close does not wait for handlers, whichever goroutine they run on, and may be called by one.
func TestP36_WorkerClosesWhileHandlersRun(t *testing.T) {
	bothInFlights(t, func(t *testing.T, ends makeEnds, inFlight int) {
		var worker *rpc.Peer
		set, entered, closed, over := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
		worker, w, served := announceWire(t, ends, serving(inFlight, rpc.HandlerFunc(func(ctx context.Context, _ *rpc.Request) (any, error) {
			<-set
			close(entered)
			_ = worker.Close() // by the handler itself
			close(closed)
			<-ctx.Done()
			close(over)
			return nil, nil
		})))
		close(set)
		w.send(call, 0, 2, callBody(t, "m", nil))
		<-entered
		_ = w.s.CloseWrite() // a blocking Read ends with the stream alone
		<-closed
		<-over
		<-served
	})
}

// A handler's context stays ended as it first was, and its timer does not outlive it.
func TestContextOfAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		p := connect(t, memoryEnds, setup{inFlight: 2, handler: func(ctx context.Context, r *rpc.Request) (any, error) {
			kept = ctx
			if r.Method == "over" {
				time.Sleep(2 * time.Second)
				require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
				select {
				case <-ctx.Done():
				default:
					return nil, errors.New("Err without Done")
				}
			}
			return nil, nil
		}})
		call := func(method string) error {
			return p.host.Call(t.Context(), method, nil, nil, rpc.CallOptions{Budget: time.Second})
		}
		require.NoError(t, call("over"))
		require.ErrorIs(t, kept.Err(), context.DeadlineExceeded)
		require.NoError(t, call("in time"))
		<-kept.Done()
		require.ErrorIs(t, kept.Err(), context.Canceled, "the handler has returned")
	})
}

// P49: a goroutine for each call costs more than the call. Handlers run on as many as calls run at a time, again and again.
func TestP49_HandlersShareGoroutines(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		for _, inFlight := range []int{1, 8} {
			seen := map[string]bool{}
			p := connect(t, ends, setup{inFlight: inFlight, handler: func(_ context.Context, r *rpc.Request) (any, error) {
				stack := make([]byte, 32)
				id, _, _ := strings.Cut(string(stack[:runtime.Stack(stack, false)]), " [")
				seen[id] = true
				return r.Method, nil
			}})
			for range 300 {
				require.NoError(t, p.host.Call(t.Context(), "m", nil, nil, rpc.CallOptions{}))
			}
			require.LessOrEqual(t, len(seen), inFlight)
		}
	})
}
