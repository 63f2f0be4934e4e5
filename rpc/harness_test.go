package rpc_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// The types of frames that tests send and expect; docs/protocol.md, section 4.
const (
	hello, welcome, refuse, starting, ready, initError = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
	call, started, reply, failed, cancel               = 0x10, 0x11, 0x12, 0x13, 0x14
	progress, ping, pong, shutdown, goodbye, pad       = 0x15, 0x20, 0x21, 0x22, 0x23, 0x3E
)

// bubbles runs the test in a synctest bubble over each kind of stream that works in one. Nothing may be left running at its end.
func bubbles(t *testing.T, test func(t *testing.T, ends makeEnds)) {
	bubblesOver(t, test, "memory", "rings", "quick")
}

// hostBubbles is bubbles for a test of the host alone, to whom it is nothing where handlers run.
func hostBubbles(t *testing.T, test func(t *testing.T, ends makeEnds)) {
	bubblesOver(t, test, "memory", "rings")
}

func bubblesOver(t *testing.T, test func(t *testing.T, ends makeEnds), names ...string) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, modes[name]) })
		})
	}
}

// wire is one end of a connection, played by hand: a host or a worker that does what no Peer does.
type wire struct {
	t     testing.TB
	s     stream
	in    *framing.Buffer
	parts *framing.Assembler
}

func newWire(t testing.TB, s stream) *wire {
	return &wire{t: t, s: s, in: framing.NewBuffer(framing.MaxFrame), parts: framing.NewAssembler(framing.MaxMessage, nil)}
}

// frame returns the bytes of one frame.
func frame(typ uint8, flags framing.Flags, id uint64, payload []byte) []byte {
	return append(framing.Header{Type: typ, Flags: flags, Length: uint32(len(payload)), ID: id}.Append(nil), payload...)
}

func (w *wire) send(typ uint8, flags framing.Flags, id uint64, payload []byte) {
	w.write(frame(typ, flags, id, payload))
}

func (w *wire) write(b []byte) {
	if _, err := w.s.Write(b); err != nil {
		w.t.Errorf("write: %v", err)
	}
}

// next returns the next message that is no padding and no grease.
func (w *wire) next() framing.Message {
	for {
		m, err := w.read()
		require.NoError(w.t, err)
		if m.Flags&framing.Ignorable == 0 {
			return m
		}
	}
}

// expect returns the next message, which is of that type.
func (w *wire) expect(typ uint8) framing.Message {
	w.t.Helper()
	m := w.next()
	require.Equal(w.t, typ, m.Type, "got type %#x with %q", m.Type, m.Body[:min(len(m.Body), 100)])
	return m
}

// read returns the next message, whatever it is. Its body is the caller's.
func (w *wire) read() (framing.Message, error) {
	for {
		h, payload, ok, err := w.in.Next()
		if err != nil {
			return framing.Message{}, err
		}
		if !ok {
			n, err := w.s.Read(w.in.Space())
			w.in.Filled(n)
			if n == 0 && err != nil {
				return framing.Message{}, err
			}
			continue
		}
		m, done, err := w.parts.Add(h, payload)
		if err != nil {
			return framing.Message{}, err
		}
		if done {
			m.Body = append([]byte(nil), m.Body...)
			return m, nil
		}
	}
}

// drop reads and forgets until the stream ends.
func (w *wire) drop() {
	for {
		if _, err := w.s.Read(make([]byte, 4<<10)); err != nil {
			return
		}
	}
}

func encoded(t testing.TB, v any) []byte {
	b, err := msgpack.Marshal(v)
	require.NoError(t, err)
	return b
}

func decoded[T any](t testing.TB, b []byte) (v T) {
	require.NoError(t, msgpack.Unmarshal(b, &v))
	return v
}

// greet plays the worker's half of the handshake.
func (w *wire) greet(h map[string]any) {
	w.send(hello, 0, 0, append([]byte("stdcrew"), encoded(w.t, h)...))
	w.expect(welcome)
	_, err := w.read() // the frame that nobody knows
	require.NoError(w.t, err)
	w.send(ready, 0, 0, []byte{0x80})
}

// callBody is the payload of a call.
func callBody(t testing.TB, method string, args any) []byte {
	return append(encoded(t, []any{method, uint64(0), uint64(1), nil}), encoded(t, args)...)
}

// connectWire returns a host's Peer whose worker is played by hand, and what its Freed says.
func connectWire(t testing.TB, ends makeEnds, inFlight int, o rpc.HostOptions) (*counted, *wire, chan struct{}) {
	return connectWireAs(t, ends, map[string]any{"inflight": inFlight}, o)
}

// connectWireAs is connectWire for a worker that says this hello.
func connectWireAs(t testing.TB, ends makeEnds, hello map[string]any, o rpc.HostOptions) (*counted, *wire, chan struct{}) {
	hostEnd, workerEnd := ends(t)
	w, freed := newWire(t, workerEnd), make(chan struct{}, 1000)
	var wg sync.WaitGroup
	wg.Go(func() { w.greet(hello) })
	host, err := rpc.Connect(context.Background(), hostEnd, o)
	require.NoError(t, err)
	wg.Wait()
	t.Cleanup(func() {
		_ = workerEnd.Close()
		_ = host.Close()
	})
	return &counted{host, func() { freed <- struct{}{} }}, w, freed
}

// announceWire returns a worker's Peer, serving, whose host is played by hand.
func announceWire(t testing.TB, ends makeEnds, o rpc.WorkerOptions) (*rpc.Peer, *wire, <-chan error) {
	hostEnd, workerEnd := ends(t)
	w, served := newWire(t, hostEnd), make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		w.expect(hello)
		w.send(welcome, 0, 0, encoded(t, map[string]any{"protocol": 1}))
		w.expect(ready)
	})
	worker, err := rpc.Announce(context.Background(), workerEnd, o)
	require.NoError(t, err)
	require.NoError(t, worker.Ready())
	wg.Wait()
	aboutToServe(worker, workerEnd)
	go func() { served <- worker.Serve() }() // ends with the stream
	t.Cleanup(func() {
		_ = hostEnd.Close()
		_ = worker.Close()
	})
	return worker, w, served
}

// result is what a call in the background came to.
type result struct {
	err   error
	reply msgpack.RawMessage
}

// caller is a Peer, of any kind.
type caller interface {
	Call(ctx context.Context, method string, args, reply any, o rpc.CallOptions) error
}

// background makes a call on a goroutine of its own.
func background(ctx context.Context, p caller, method string, args any) <-chan result {
	done := make(chan result, 1)
	go func() { // ends with the call
		var r result
		r.err = p.Call(ctx, method, args, &r.reply, rpc.CallOptions{})
		done <- r
	}()
	return done
}

// watched is a context that says when a call waits for its end: it asks for Done once before it is queued and again when it waits.
type watched struct {
	context.Context
	asked   atomic.Int32
	waiting chan struct{}
}

func watch(ctx context.Context) *watched { return &watched{Context: ctx, waiting: make(chan struct{})} }

func (w *watched) Done() <-chan struct{} {
	if w.asked.Add(1) == 2 {
		close(w.waiting)
	}
	return w.Context.Done()
}

// delivery takes apart the error of a call that was not answered.
func delivery(t testing.TB, err error) (rpc.Delivery, error) {
	t.Helper()
	var cut *rpc.CallError
	require.ErrorAs(t, err, &cut)
	return cut.Delivery, cut.Err
}

func remote(t testing.TB, err error) *rpc.RemoteError {
	t.Helper()
	var e *rpc.RemoteError
	require.ErrorAs(t, err, &e)
	return e
}

var errGone = errors.New("the process is gone")

// held is a context that holds a call in the moment between joining those who wait and waiting.
type held struct {
	context.Context
	asked         atomic.Int32
	reached, free chan struct{}
}

func hold(ctx context.Context) *held {
	return &held{Context: ctx, reached: make(chan struct{}), free: make(chan struct{})}
}

func (h *held) Done() <-chan struct{} {
	if h.asked.Add(1) == 2 {
		close(h.reached)
		<-h.free
	}
	return h.Context.Done()
}

// closeRead makes the other side's writes fail.
func closeRead(t testing.TB, s stream) {
	if plain, ok := s.(plainStream); ok {
		s = plain.tryStream
	}
	require.NoError(t, s.(interface{ closeRead() error }).closeRead())
}
