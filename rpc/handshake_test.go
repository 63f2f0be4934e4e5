package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// helloFrame is a worker's first frame.
func helloFrame(t testing.TB, h map[string]any) []byte {
	return frame(hello, 0, 0, append([]byte("stdcrew"), encoded(t, h)...))
}

// connected is what Connect came to.
type connected struct {
	peer *rpc.Peer
	err  error
}

// startConnect connects to a worker that is played by hand.
func startConnect(t testing.TB, ctx context.Context, ends makeEnds, o rpc.HostOptions) (*wire, <-chan connected, stream) {
	hostEnd, workerEnd := ends(t)
	done := make(chan connected, 1)
	go func() { // ends with the handshake or its streams
		peer, err := rpc.Connect(ctx, hostEnd, o)
		done <- connected{peer, err}
	}()
	t.Cleanup(func() {
		_ = workerEnd.Close()
		_ = hostEnd.Close()
	})
	return newWire(t, workerEnd), done, hostEnd
}

// finish plays the rest of a worker's handshake after its hello, and closes the host's Peer at the end of the test.
func (w *wire) finish(done <-chan connected) *rpc.Peer {
	w.t.Helper()
	w.expect(welcome)
	w.send(ready, 0, 0, []byte{0x80})
	c := <-done
	require.NoError(w.t, c.err)
	w.t.Cleanup(func() {
		_ = w.s.Close()
		_ = c.peer.Close()
	})
	return c.peer
}

func TestP1_NoiseBeforeTheHelloIsSkipped(t *testing.T) {
	whole := helloFrame(t, map[string]any{"pid": 7})
	almost := frame(hello, 0, 0, append([]byte("stdcrow"), 0x80))
	for name, noise := range map[string]string{
		"nothing":               "",
		"text":                  "Loading model weights …\n",
		"a magic":               "\xC1",
		"magics":                strings.Repeat("\xC1", 40),
		"a header's beginning":  string(whole[:15]),
		"other frames":          string(frame(ready, 0, 0, []byte{0x80})),
		"almost a hello":        string(almost),
		"a hello that is none":  string(frame(hello, 0, 0, []byte("stdcrew\xc1"))),
		"a hello with an id":    string(frame(hello, 0, 5, append([]byte("stdcrew"), 0x80))),
		"text with magic in it": "ab\xC1cd\xC1\x41\x00 and so on, for longer than a header is",
		"64 KiB":                strings.Repeat("n", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, ends makeEnds) {
				var heard []byte
				w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{Noise: func(text []byte) { heard = append(heard, text...) }})
				w.write([]byte(noise))
				w.write(whole)
				require.Equal(t, 7, w.finish(done).Hello().PID)
				require.Equal(t, noise[:min(len(noise), 1<<10)], string(heard))
			})
		})
	}
}

func TestP1_TooMuchNoiseFailsTheStart(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{})
		go func() { // ends with the write: in memory somebody must have read the last byte
			_, _ = w.s.Write([]byte("this program prints a lot\n" + strings.Repeat("x", 64<<10)))
		}()
		c := <-done
		var violation *rpc.ProtocolError
		require.ErrorAs(t, c.err, &violation)
		require.ErrorContains(t, c.err, "this program prints a lot")
		require.ErrorContains(t, c.err, "more than 64 KiB before the hello")
	})
}

func TestHelloInPiecesOfOneByte(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{})
		for _, b := range append([]byte("x"), helloFrame(t, map[string]any{"pid": 9, "methods": []string{"a", "b"}})...) {
			w.write([]byte{b})
		}
		require.Equal(t, []string{"a", "b"}, w.finish(done).Hello().Methods)
	})
}

// The largest hello that the protocol allows gets through, to a host that takes small frames only.
func TestLargestHello(t *testing.T) {
	methods := make([]string, 1024)
	for i := range methods {
		methods[i] = fmt.Sprintf("%0255d", i)
	}
	eachMode(t, func(t *testing.T, ends makeEnds) {
		p := connect(t, ends, setup{
			inFlight: 1, handler: echo, hello: rpc.Hello{Methods: methods},
			host: rpc.HostOptions{Welcome: rpc.Welcome{MaxFrame: framing.MinFrame}},
		})
		require.Equal(t, methods, p.host.Hello().Methods)
		require.NoError(t, p.host.Call(t.Context(), methods[1023], nil, nil, rpc.CallOptions{}))
		require.True(t, remote(t, p.host.Call(t.Context(), "other", nil, nil, rpc.CallOptions{})).NotRun)
	})
	_, workerEnd := memoryEnds(t)
	_, err := rpc.Announce(t.Context(), workerEnd, rpc.WorkerOptions{Hello: rpc.Hello{Methods: append(methods, "one more")}})
	require.ErrorContains(t, err, "1025 methods are over the limit")
}

func TestVersionMismatchIsRefused(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		hostEnd, workerEnd := ends(t)
		announced := make(chan error, 1)
		go func() { // ends with the refusal
			_, err := rpc.Announce(context.Background(), workerEnd, rpc.WorkerOptions{Hello: rpc.Hello{Protocol: [2]int{2, 3}}})
			announced <- err
		}()
		_, err := rpc.Connect(t.Context(), hostEnd, rpc.HostOptions{})
		var violation *rpc.ProtocolError
		require.ErrorAs(t, err, &violation)
		require.ErrorContains(t, err, "protocol 2 to 3")
		var refused *rpc.RefusedError
		require.ErrorAs(t, <-announced, &refused)
		require.Equal(t, "version", refused.Code)
		require.NoError(t, hostEnd.Close())
		require.NoError(t, workerEnd.Close())
	})
}

func TestLimitsAreNegotiated(t *testing.T) {
	for _, c := range []struct{ worker, host, want int }{
		{0, 0, 1}, {1, 8, 1}, {8, 0, 8}, {8, 3, 3}, {3, 8, 3}, {-1, 5, 5}, {-1, 0, 1}, {-1, 1 << 30, 1 << 16},
	} {
		p := connect(t, memoryEnds, setup{inFlight: c.worker, handler: echo, host: rpc.HostOptions{Welcome: rpc.Welcome{InFlight: c.host}}})
		require.Equal(t, c.want, p.host.Capacity(), "%+v", c)
		require.Equal(t, c.want, p.worker.Capacity(), "%+v", c)
		require.Equal(t, c.want, p.worker.Welcome().InFlight, "%+v", c)
	}
	eachMode(t, func(t *testing.T, ends makeEnds) {
		p := connect(t, ends, setup{
			handler: echo, hello: rpc.Hello{MaxFrame: 2000, MaxMessage: 50_000, SDK: "test/1"},
			host: rpc.HostOptions{Welcome: rpc.Welcome{MaxFrame: 3000, MaxMessage: 60_000, Slot: 4, OwnGroup: true, Caps: []string{"log"}}},
		})
		h, w := p.host.Hello(), p.worker.Welcome()
		require.Equal(t, "test/1", h.SDK)
		require.Positive(t, h.PID)
		require.Equal(t, []int{2000, 50_000, 64 << 10}, []int{h.MaxFrame, h.MaxMessage, h.Window})
		require.Equal(t, []int{3000, 60_000, 64 << 10, 4}, []int{w.MaxFrame, w.MaxMessage, w.Window, w.Slot})
		require.True(t, w.OwnGroup)
		require.Equal(t, []string{"log"}, w.Caps)
		text := strings.Repeat("t", 40_000)
		var out string
		require.NoError(t, p.host.Call(t.Context(), "echo", text, &out, rpc.CallOptions{}))
		require.True(t, text == out)
	})
}

// A hello that nobody can work with is not skipped as noise: the start fails at once, with the reason.
func TestImpossibleHello(t *testing.T) {
	for want, h := range map[string]map[string]any{
		"inflight -2":        {"inflight": -2},
		"max_frame 10":       {"max_frame": 10},
		"max_message 2000":   {"max_frame": 3000, "max_message": 2000},
		"is not 1 to 255":    {"methods": []string{""}},
		"window -1":          {"window": -1},
		"1025 methods":       {"methods": make([]string, 1025)},
		"protocol 2 to 9":    {"protocol": []int{2, 9}},
		"max_frame 16777217": {"max_frame": 16777217, "max_message": 1 << 30},
	} {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{})
			w.write(helloFrame(t, h))
			var violation *rpc.ProtocolError
			c := <-done
			require.ErrorAs(t, c.err, &violation, want)
			require.ErrorContains(t, c.err, want)
		})
	}
}

func TestOwnOptionsAreChecked(t *testing.T) {
	hostEnd, workerEnd := memoryEnds(t)
	_, err := rpc.Connect(t.Context(), hostEnd, rpc.HostOptions{Welcome: rpc.Welcome{MaxFrame: 10}})
	require.ErrorContains(t, err, "max_frame 10")
	_, err = rpc.Announce(t.Context(), workerEnd, rpc.WorkerOptions{Hello: rpc.Hello{InFlight: -2}})
	require.ErrorContains(t, err, "inflight -2")
}

func TestInitErrorFailsTheStart(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, detail := range []string{"", "no such file", strings.Repeat("d", 10<<10)} {
			hostEnd, workerEnd := ends(t)
			var wg sync.WaitGroup
			wg.Go(func() {
				w, err := rpc.Announce(context.Background(), workerEnd, rpc.WorkerOptions{})
				if err == nil {
					err = w.InitError("the model is missing", detail)
				}
				if err != nil {
					t.Error(err)
				}
			})
			_, err := rpc.Connect(t.Context(), hostEnd, rpc.HostOptions{Welcome: rpc.Welcome{MaxFrame: framing.MinFrame}})
			var failed *rpc.InitError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, "the model is missing", failed.Message)
			require.True(t, strings.HasPrefix(detail, failed.Detail) && len(failed.Detail) >= min(len(detail), 500), "what fits into a frame")
			wg.Wait()
			require.NoError(t, hostEnd.Close())
			require.NoError(t, workerEnd.Close())
		}
	})
}

func TestStartingIsReported(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		hostEnd, workerEnd := ends(t)
		served := make(chan error, 1)
		go func() { // ends with the stream
			w, err := rpc.Announce(context.Background(), workerEnd, rpc.WorkerOptions{})
			if err == nil {
				err = errors.Join(w.Starting("half"), w.Starting(strings.Repeat("s", 5000)), w.Ready(), w.Serve(), w.Close())
			}
			served <- err
		}()
		var said []string
		host, err := rpc.Connect(t.Context(), hostEnd, rpc.HostOptions{
			Welcome: rpc.Welcome{MaxFrame: framing.MinFrame}, Starting: func(m string) { said = append(said, m) },
		})
		require.NoError(t, err)
		require.Len(t, said, 2)
		require.Equal(t, "half", said[0])
		require.GreaterOrEqual(t, len(said[1]), 500, "cut to what fits")
		require.NoError(t, host.Close())
		require.ErrorIs(t, <-served, io.EOF)
	})
}

func TestP8_EndBeforeTheHandshakeIsOver(t *testing.T) {
	h := helloFrame(t, nil)
	for name, c := range map[string]struct {
		sent []byte
		want string
		is   error
	}{
		"at once":            {nil, "before the handshake was over", io.EOF},
		"after some text":    {[]byte("usage: worker [options]\n"), `beginning with "usage: worker [options]\n"`, io.EOF},
		"within the hello":   {h[:10], "before the handshake was over", io.ErrUnexpectedEOF},
		"before it is ready": {h, "before the handshake was over", io.EOF},
	} {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{})
			w.write(c.sent)
			if name == "before it is ready" {
				w.expect(welcome)
			}
			require.NoError(t, w.s.CloseWrite())
			got := <-done
			require.ErrorIs(t, got.err, c.is, name)
			require.ErrorContains(t, got.err, c.want, name)
		})
	}
}

// ctx governs the handshake. The stream stays open, and nothing of the handshake is left behind on it (P43) but, where its Read cannot be called
// off, the goroutine that reads.
func TestP22_ContextEndsTheHandshake(t *testing.T) {
	errTooSlow := errors.New("too slow")
	bubbles(t, func(t *testing.T, ends makeEnds) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTooSlow)
		defer cancel()
		began := time.Now()
		w, done, hostEnd := startConnect(t, ctx, ends, rpc.HostOptions{})
		c := <-done
		require.ErrorIs(t, c.err, errTooSlow)
		require.Equal(t, time.Second, time.Since(began))
		synctest.Wait()
		if _, interruptible := hostEnd.(rpc.Interrupter); interruptible {
			go w.write([]byte("still here"))
			got := make([]byte, 10)
			_, err := io.ReadFull(hostEnd, got)
			require.NoError(t, err)
			require.Equal(t, "still here", string(got))
		}
	})
	eachMode(t, func(t *testing.T, ends makeEnds) {
		ctx, cancel := context.WithCancelCause(t.Context())
		w, done, _ := startConnect(t, ctx, ends, rpc.HostOptions{})
		w.write(helloFrame(t, nil))
		w.expect(welcome)
		cancel(errTooSlow)
		require.ErrorIs(t, (<-done).err, errTooSlow)
	})
}

// If ready and the context's end come together, it is one or the other.
func TestReadyAndTheContextsEndAtOnce(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			w, done, hostEnd := startConnect(t, ctx, ends, rpc.HostOptions{Starting: func(string) { cancel() }})
			w.write(helloFrame(t, nil))
			w.expect(welcome)
			w.write(append(frame(starting, 0, 0, []byte{0x80}), frame(ready, 0, 0, []byte{0x80})...))
			if c := <-done; c.err == nil {
				require.NoError(t, c.peer.Err())
				require.NoError(t, c.peer.Close())
			} else {
				require.ErrorIs(t, c.err, context.Canceled)
			}
			_ = hostEnd.Close()
			_ = w.s.Close()
		}
	})
}

func TestContextEndsAnnounce(t *testing.T) {
	errLate := errors.New("late")
	announce := func(t *testing.T, ends makeEnds) (hostEnd stream, cancel context.CancelCauseFunc, announced <-chan error) {
		hostEnd, workerEnd := ends(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() { // ends with ctx, or the stream
			_, err := rpc.Announce(ctx, workerEnd, rpc.WorkerOptions{})
			done <- err
		}()
		newWire(t, hostEnd).expect(hello)
		t.Cleanup(func() { _ = hostEnd.Close() })
		return hostEnd, cancel, done
	}
	bubbles(t, func(t *testing.T, ends makeEnds) {
		_, cancel, announced := announce(t, ends)
		cancel(errLate)
		require.ErrorIs(t, <-announced, errLate)
	})
	eachMode(t, func(t *testing.T, ends makeEnds) { // a worker's real input cannot be called off: it ends
		hostEnd, cancel, announced := announce(t, ends)
		cancel(errLate)
		require.NoError(t, hostEnd.Close())
		require.ErrorIs(t, <-announced, errLate)
	})
}

// Every host sends a frame that nobody knows; every worker skips and counts it.
func TestGreaseIsSentAndIgnored(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{})
		w.write(helloFrame(t, nil))
		w.expect(welcome)
		m, err := w.read()
		require.NoError(t, err)
		require.True(t, m.Type >= 0x30 && m.Type <= 0x3D, "type %#x", m.Type)
		require.Equal(t, framing.Ignorable, m.Flags)
		w.send(ready, 0, 0, []byte{0x80})
		require.NoError(t, (<-done).err)

		p := connect(t, ends, setup{handler: echo})
		require.NoError(t, p.host.Call(t.Context(), "echo", 1, nil, rpc.CallOptions{}))
		require.EqualValues(t, 1, p.worker.Stats().Ignored)
	})
}

func TestHandshakeIsInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		sent []byte
		want string
	}{
		"a call before ready":   {frame(call, 0, 1, nil), "call during the handshake"},
		"a second hello":        {helloFrame(t, nil), "hello during the handshake"},
		"ready that is no map":  {frame(ready, 0, 0, []byte{0x01}), "malformed ready"},
		"starting, with a bomb": {frame(starting, 0, 0, []byte{0xdd, 0xff, 0xff, 0xff, 0xff}), "malformed starting"},
		"ready, bad methods":    {frame(ready, 0, 0, encoded(t, map[string]any{"methods": []string{""}})), "method name"},
		"text":                  {[]byte("ready now!\n"), "ready now!"},
		"an unknown type":       {frame(0x2A, 0, 0, nil), "type 0x2a during the handshake"},
	} {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{})
			w.write(helloFrame(t, nil))
			w.expect(welcome)
			w.write(c.sent)
			got := <-done
			var violation *rpc.ProtocolError
			require.ErrorAs(t, got.err, &violation, name)
			require.ErrorContains(t, got.err, c.want, name)
		})
	}
}

func TestWorkerChecksTheWelcome(t *testing.T) {
	for want, w := range map[string]map[string]any{
		"chose protocol 2":  {"protocol": 2},
		"max_frame 10":      {"max_frame": 10},
		"malformed welcome": {"inflight": "many"},
	} {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			hostEnd, workerEnd := ends(t)
			var wg sync.WaitGroup
			wg.Go(func() {
				host := newWire(t, hostEnd)
				host.expect(hello)
				host.send(welcome, 0, 0, encoded(t, w))
			})
			_, err := rpc.Announce(t.Context(), workerEnd, rpc.WorkerOptions{})
			require.ErrorContains(t, err, want)
			wg.Wait()
			require.NoError(t, hostEnd.Close())
			require.NoError(t, workerEnd.Close())
		})
	}
}
