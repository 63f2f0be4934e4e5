package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// What a round of FuzzPeer plays; bits of its first argument.
const (
	playHost      = 1 << iota // the Peer is a host; otherwise a worker
	beforeGreeted             // the bytes come in place of the handshake
	holdLost                  // host: calls in flight wait for Drain
	oneLeaves                 // host: one of the callers has left before the bytes come
	manyAtATime               // more than one call in flight
	inPieces                  // the bytes come in small writes
)

// FuzzPeerBackground: a Peer that reads on a goroutine of its own and writes on another, against arbitrary bytes.
func FuzzPeerBackground(f *testing.F) { fuzzPeer(f, memoryEnds) }

// FuzzPeerReading: a Peer on streams that can be interrupted and written to without blocking, so that callers read, against arbitrary bytes.
func FuzzPeerReading(f *testing.F) { fuzzPeer(f, ringEnds) }

// fuzzPeer plays arbitrary bytes against a Peer with calls in flight. It runs in a bubble: nothing may be left running, and where all wait for
// each other it fails at once.
func fuzzPeer(f *testing.F, ends makeEnds) {
	for plan := range uint8(2 * inPieces) {
		f.Add(plan, []byte("panic: runtime error\n\ngoroutine 1 [running]:\n"))
	}
	for _, b := range peerSeeds(f) {
		for _, plan := range []uint8{
			0, manyAtATime, playHost, playHost | manyAtATime | inPieces, playHost | holdLost | oneLeaves, playHost | beforeGreeted, beforeGreeted,
		} {
			f.Add(plan, b)
		}
	}
	f.Fuzz(func(t *testing.T, plan uint8, b []byte) {
		if len(b) > 16<<10 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			switch {
			case plan&beforeGreeted != 0 && plan&playHost != 0:
				connectTo(t, ends, plan, b)
			case plan&beforeGreeted != 0:
				announceTo(t, ends, plan, b)
			case plan&playHost != 0:
				hostAgainst(t, ends, plan, b)
			default:
				workerAgainst(t, ends, plan, b)
			}
		})
	})
}

// peerSeeds are conversations that get far.
func peerSeeds(f *testing.F) [][]byte {
	more := func(typ uint8, id uint64, parts ...string) (b []byte) {
		for i, p := range parts {
			flags := framing.More
			if i == len(parts)-1 {
				flags = 0
			}
			b = append(b, frame(typ, flags, id, []byte(p))...)
		}
		return b
	}
	bad, run := encoded(f, map[string]any{"code": "bad"}), callBody(f, "run", 1)
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	return [][]byte{
		nil,
		join(frame(reply, 0, 2, []byte{1}), frame(reply, 0, 4, []byte{0x80}), frame(reply, 0, 2, []byte{1})),
		join(frame(failed, 0, 4, bad), frame(failed, framing.NotRun, 2, bad), frame(ping, 0, 0, []byte("p")), frame(0x30, framing.Ignorable, 9, nil)),
		join(more(reply, 2, "\x00\x00\x00\x05\xa4", "te", "xt"), frame(goodbye, 0, 0, goodbyeBody(f, 2))),
		join(more(reply, 2, "\x00\x00\x00\x05\xa4te", "")[:40], frame(failed, 0, 2, bad)),
		join(frame(call, 0, 1, run), frame(call, 0, 3, callBody(f, "wait", nil)), frame(cancel, 0, 3, nil), frame(pong, 0, 0, []byte("x"))),
		join(frame(call, framing.WantStarted, 2, run), frame(call, 0, 4, callBody(f, "wait", nil)), frame(call, 0, 6, run), frame(cancel, 0, 4, nil)),
		join(frame(call, 0, 2, callBody(f, "back", nil)), frame(reply, 0, 1, []byte{7}), frame(reply, 0, 3, []byte{7})),
		join(more(call, 2, "\x00\x00\x00\x09\x94", "\xa3run", "\x00\x01\xc0\x05"), frame(shutdown, 0, 0, encoded(f, map[string]any{"mode": "now", "ms": 5}))),
		join(frame(call, 0, 2, []byte{0xc1}), frame(call, 0, 2, run)),
		join(more(call, 4, "\x00\x00\x10\x00\x94", "")[:37], frame(cancel, 0, 4, nil), frame(call, 0, 2, run)),
		frame(reply, framing.More, 2, []byte("\x7f\xff\xff\xff")),
		frame(0x2A, 0, 0, []byte("unknown")),
		append(framing.Header{Type: reply, Length: 1<<32 - 1, ID: 2}.Append(nil), "…"...),
		join(helloFrame(f, map[string]any{"inflight": -1}), frame(starting, 0, 0, []byte{0x80}), frame(ready, 0, 0, []byte{0x80}), frame(reply, 0, 2, nil)),
		join([]byte("noise\n\xC1"), helloFrame(f, nil), frame(initError, 0, 0, []byte{0x80})),
		join(frame(welcome, 0, 0, encoded(f, map[string]any{"inflight": 3})), frame(0x31, framing.Ignorable, 0, nil), frame(call, 0, 2, run)),
		frame(refuse, 0, 0, encoded(f, map[string]any{"code": "version"})),
	}
}

// deliver writes the bytes and ends the stream's direction, from which the Peer reads; it ends at the latest with the stream.
func deliver(s stream, plan uint8, b []byte) {
	size := max(len(b), 1)
	if plan&inPieces != 0 {
		size = 7
	}
	for ; len(b) > 0; b = b[min(size, len(b)):] {
		if _, err := s.Write(b[:min(size, len(b))]); err != nil {
			break
		}
	}
	_ = s.CloseWrite()
}

// checkEnd holds the reason of a connection's end to what it promises: a broken header quotes bytes that were really sent.
func checkEnd(t *testing.T, err error, sent []byte) {
	require.Error(t, err)
	var wrong *framing.HeaderError
	if errors.As(err, &wrong) {
		require.NotEmpty(t, wrong.Bytes)
		require.True(t, bytes.Contains(sent, wrong.Bytes), "%q was never sent", wrong.Bytes)
		var violation *rpc.ProtocolError
		require.ErrorAs(t, err, &violation)
	}
}

// fuzzHandler answers what the bytes may ask for. "back" calls the other side.
func fuzzHandler(peer *atomic.Pointer[rpc.Peer]) rpc.HandlerFunc {
	return func(ctx context.Context, r *rpc.Request) (any, error) {
		switch r.Method {
		case "wait":
			<-ctx.Done()
			return nil, ctx.Err()
		case "back":
			if p := peer.Load(); p != nil {
				return nil, p.Call(ctx, "m", nil, nil, rpc.CallOptions{})
			}
		}
		return echo(ctx, r)
	}
}

// fuzzCalls are calls in flight while the bytes come.
type fuzzCalls struct {
	done  []<-chan result
	freed []*atomic.Int32
}

func (c *fuzzCalls) start(ctx context.Context, p *rpc.Peer) {
	freed := new(atomic.Int32)
	c.freed = append(c.freed, freed)
	c.done = append(c.done, background(ctx, &counted{p, func() { freed.Add(1) }}, "m", "args"))
}

// check waits for all of them: each has ended once, in one of the ways that there are, and its place was freed once. A call that was read
// whole is unsent only if the other side said so.
func (c *fuzzCalls) check(t *testing.T) {
	for _, done := range c.done {
		r := <-done
		var answered *rpc.RemoteError
		var cut *rpc.CallError
		switch {
		case r.err == nil:
			require.NotEmpty(t, r.reply)
		case errors.As(r.err, &answered):
		default:
			require.ErrorAs(t, r.err, &cut)
			require.True(t, cut.Delivery != rpc.NotSent || errors.Is(cut.Err, rpc.ErrGoodbye), "%v", r.err)
		}
	}
	synctest.Wait()
	for i, freed := range c.freed {
		require.EqualValues(t, 1, freed.Load(), "place of call %d", i)
	}
}

// hostAgainst: a host with two calls in flight, both read by its worker, which then sends the bytes and ends.
func hostAgainst(t *testing.T, ends makeEnds, plan uint8, b []byte) {
	inFlight := 2
	if plan&manyAtATime != 0 {
		inFlight = 8
	}
	hostEnd, workerEnd := ends(t)
	var peer atomic.Pointer[rpc.Peer]
	w := newWire(t, workerEnd)
	var greeted sync.WaitGroup
	greeted.Go(func() { w.greet(map[string]any{"inflight": inFlight}) })
	host, err := rpc.Connect(t.Context(), hostEnd, rpc.HostOptions{
		HoldLost: plan&holdLost != 0, Handler: fuzzHandler(&peer), CancelGrace: time.Second, Stuck: func() {}, Goodbye: func(string) {},
	})
	require.NoError(t, err)
	greeted.Wait()
	peer.Store(host)

	var calls fuzzCalls
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	calls.start(ctx, host)
	w.expect(call)
	calls.start(t.Context(), host)
	w.expect(call)
	if plan&oneLeaves != 0 {
		leave()
		w.expect(cancel)
	}
	go w.drop()                    // ends with the stream
	go deliver(workerEnd, plan, b) // likewise
	<-host.Done()                  // at the latest when the bytes have ended
	checkEnd(t, host.Err(), b)
	if plan&holdLost != 0 {
		host.Drain(errGone)
	}
	calls.check(t)
	require.Empty(t, host.InFlight())
	d, _ := delivery(t, host.Call(t.Context(), "late", nil, nil, rpc.CallOptions{}))
	require.Equal(t, rpc.NotSent, d)
	_ = host.Close() // returns, or the bubble finds everybody waiting
	_ = workerEnd.Close()
}

// workerAgainst: a worker with one call of its own in flight, whose host sends the bytes and ends. Each call of the host's is answered once
// at most, and only calls that came.
func workerAgainst(t *testing.T, ends makeEnds, plan uint8, b []byte) {
	h := rpc.Hello{InFlight: 1}
	if plan&manyAtATime != 0 {
		h.InFlight = 3
	}
	hostEnd, workerEnd := ends(t)
	var peer atomic.Pointer[rpc.Peer]
	w := newWire(t, hostEnd)
	var greeted sync.WaitGroup
	greeted.Go(func() {
		w.expect(hello)
		w.send(welcome, 0, 0, encoded(t, map[string]any{"inflight": 3}))
		w.expect(ready)
	})
	worker, err := rpc.Announce(t.Context(), workerEnd, rpc.WorkerOptions{Hello: h, Handler: fuzzHandler(&peer)})
	require.NoError(t, err)
	require.NoError(t, worker.Ready())
	greeted.Wait()
	peer.Store(worker)
	served := make(chan error, 1)
	go func() { served <- worker.Serve() }() // ends with the stream
	var calls fuzzCalls
	calls.start(t.Context(), worker)
	w.expect(call)

	answers := make(chan map[uint64]int, 1)
	go func() { answers <- w.answers() }() // ends with the stream
	go deliver(hostEnd, plan, b)           // likewise
	checkEnd(t, <-served, b)
	calls.check(t)
	_ = worker.Close()
	_ = workerEnd.Close()
	for id, n := range <-answers {
		require.Equal(t, 1, n, "answers to call %d", id)
		require.True(t, id%2 == 0 && id != 0, "an answer to call %d, which is none of the host's", id)
	}
	_ = hostEnd.Close()
}

// answers reads to the end and counts the terminal messages for each call.
func (w *wire) answers() map[uint64]int {
	n := make(map[uint64]int)
	for {
		m, err := w.read()
		if err != nil {
			return n
		}
		if m.Type == reply || m.Type == failed {
			n[m.ID]++
		}
	}
}

// connectTo: a host whose worker sends the bytes in place of its half of the handshake.
func connectTo(t *testing.T, ends makeEnds, plan uint8, b []byte) {
	hostEnd, workerEnd := ends(t)
	go newWire(t, workerEnd).drop()
	go deliver(workerEnd, plan, b) // both end with the stream
	host, err := rpc.Connect(t.Context(), hostEnd, rpc.HostOptions{Starting: func(string) {}, Noise: func(text []byte) {
		require.True(t, bytes.Contains(b, text[:1]))
	}})
	if err != nil {
		checkEnd(t, err, b)
	} else {
		require.Positive(t, host.Capacity())
		_ = host.Call(t.Context(), "m", nil, nil, rpc.CallOptions{}) // ends, at the latest with the bytes
		_ = host.Close()
	}
	_ = hostEnd.Close()
	_ = workerEnd.Close()
}

// announceTo: a worker whose host answers the hello with the bytes.
func announceTo(t *testing.T, ends makeEnds, plan uint8, b []byte) {
	hostEnd, workerEnd := ends(t)
	go newWire(t, hostEnd).drop()
	go deliver(hostEnd, plan, b) // both end with the stream
	worker, err := rpc.Announce(t.Context(), workerEnd, rpc.WorkerOptions{Hello: rpc.Hello{InFlight: -1}, Handler: rpc.HandlerFunc(echo)})
	if err != nil {
		checkEnd(t, err, b)
	} else {
		require.Positive(t, worker.Capacity())
		require.LessOrEqual(t, worker.Capacity(), 1<<16)
		_ = worker.Ready()
		checkEnd(t, worker.Serve(), b)
		_ = worker.Close()
	}
	_ = workerEnd.Close()
	_ = hostEnd.Close()
}
