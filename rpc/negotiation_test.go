package rpc_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// Frames of unknown type, one that may be ignored for each phase in which it comes, and one that may not.
var (
	ignorable = bytes.Join([][]byte{
		frame(0x2A, framing.Ignorable, 0, []byte("news")), frame(0x3D, framing.Ignorable, 1<<60, nil), frame(pad, framing.Ignorable, 2, make([]byte, 100)),
	}, nil)
	mandatory = frame(0x2A, 0, 0, []byte("listen!"))
)

const ignorables = 3

// hostIn brings a host into a phase of its connection and sends it what a worker may not send, or may.
func hostIn(t *testing.T, ends makeEnds, phase string, sent []byte) (connected, *wire) {
	w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{})
	w.write(helloFrame(t, nil))
	w.expect(welcome)
	_, err := w.read() // the frame that nobody knows
	require.NoError(t, err)
	if phase == "starting" {
		w.send(starting, 0, 0, []byte{0x80})
	}
	if phase != "open" {
		w.write(append(bytes.Clone(sent), frame(ready, 0, 0, []byte{0x80})...))
		return <-done, w
	}
	w.send(ready, 0, 0, []byte{0x80})
	c := <-done
	w.write(sent)
	return c, w
}

func TestUnknownFramesAtAHost(t *testing.T) {
	for _, phase := range []string{"greeted", "starting", "open"} {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			c, w := hostIn(t, ends, phase, ignorable)
			require.NoError(t, c.err)
			called := background(t.Context(), c.peer, "m", nil)
			w.send(reply, 0, w.expect(call).ID, []byte{0x07})
			require.NoError(t, (<-called).err)
			require.EqualValues(t, ignorables, c.peer.Stats().Ignored, phase)
			require.NoError(t, c.peer.Close())

			c, w = hostIn(t, ends, phase, mandatory)
			if c.err == nil {
				<-c.peer.Done()
				c.err = c.peer.Err()
				_ = c.peer.Close()
			}
			var violation *rpc.ProtocolError
			require.ErrorAs(t, c.err, &violation, phase)
			require.ErrorContains(t, c.err, "type 0x2a", phase)
			require.NoError(t, w.s.Close())
		})
	}
}

// workerIn does the same with a worker, and serves.
func workerIn(t *testing.T, ends makeEnds, phase string, sent []byte) (*rpc.Peer, *wire, <-chan error) {
	hostEnd, workerEnd := ends(t)
	w, served, peers := newWire(t, hostEnd), make(chan error, 1), make(chan *rpc.Peer, 1)
	go func() { // ends with the stream
		peer, err := rpc.Announce(context.Background(), workerEnd, serving(1, rpc.HandlerFunc(echo)))
		peers <- peer
		if err == nil {
			_ = peer.Ready()
			err = peer.Serve()
		}
		served <- err
	}()
	t.Cleanup(func() {
		_ = hostEnd.Close()
		_ = workerEnd.Close()
	})
	w.expect(hello)
	greeting := frame(welcome, 0, 0, []byte{0x80})
	switch phase {
	case "announced":
		greeting = append(bytes.Clone(sent), greeting...)
	case "loading": // a host sends one itself, before it knows that the worker is ready
		greeting = append(greeting, sent...)
	}
	w.write(greeting)
	if phase != "open" && sent[2] == 0 { // without a flag: it will not become ready
		return <-peers, w, served
	}
	w.expect(ready)
	if phase == "open" {
		w.write(sent)
	}
	return <-peers, w, served
}

func TestUnknownFramesAtAWorker(t *testing.T) {
	for _, phase := range []string{"announced", "loading", "open"} {
		bufferedModes(t, func(t *testing.T, ends makeEnds) {
			worker, w, served := workerIn(t, ends, phase, ignorable)
			w.send(call, 0, 2, callBody(t, "m", 1))
			w.expect(reply)
			require.EqualValues(t, ignorables, worker.Stats().Ignored, phase)
			require.NoError(t, w.s.Close())
			<-served
			_ = worker.Close()

			worker, _, served = workerIn(t, ends, phase, mandatory)
			err := <-served
			var violation *rpc.ProtocolError
			require.ErrorAs(t, err, &violation, phase)
			require.ErrorContains(t, err, "type 0x2a", phase)
			if worker != nil {
				_ = worker.Close()
			}
		})
	}
}

// bufferedModes leaves out the stream that holds nothing: a worker that loads does not read.
func bufferedModes(t *testing.T, test func(t *testing.T, ends makeEnds)) {
	for name, ends := range modes {
		if name != "memory" {
			t.Run(name, func(t *testing.T) { test(t, ends) })
		}
	}
}

func TestVersionsAreNegotiated(t *testing.T) {
	for _, c := range []struct {
		low, high int
		spoken    bool
	}{{1, 1, true}, {0, 1, true}, {1, 9, true}, {0, 9, true}, {2, 2, false}, {2, 9, false}, {-3, 0, false}, {3, 1, false}, {1, 0, false}} {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{})
			w.write(helloFrame(t, map[string]any{"protocol": []int{c.low, c.high}}))
			if !c.spoken {
				m := w.expect(refuse)
				require.Equal(t, "version", decoded[map[string]string](t, m.Body)["code"])
				var violation *rpc.ProtocolError
				require.ErrorAs(t, (<-done).err, &violation, "%+v", c)
				return
			}
			m := w.expect(welcome)
			require.EqualValues(t, 1, decoded[map[string]any](t, m.Body)["protocol"], "%+v", c)
			w.send(ready, 0, 0, []byte{0x80})
			got := <-done
			require.NoError(t, got.err)
			require.NoError(t, got.peer.Close())
		})
	}
}

// Each direction has the limits of its receiver.
func TestLimitsOfTheTwoDirectionsDiffer(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{Welcome: rpc.Welcome{MaxFrame: 5000, MaxMessage: 20_000}})
		w.write(helloFrame(t, map[string]any{"max_frame": 1024, "max_message": 3000, "inflight": 2}))
		host := w.finish(done)
		d, cause := delivery(t, host.Call(t.Context(), "m", make([]byte, 3000), nil, rpc.CallOptions{}))
		require.Equal(t, rpc.NotSent, d)
		require.ErrorIs(t, cause, rpc.ErrTooLarge)
		called := background(t.Context(), host, "m", make([]byte, 2900))
		sizes := w.frameSizes(call)
		require.Equal(t, []int{1024, 1024}, sizes[:2])
		require.Len(t, sizes, 3)
		result := encoded(t, make([]byte, 19_000))
		w.send(reply, framing.More, 2, append([]byte{0, 0, byte(len(result) >> 8), byte(len(result))}, result[:4996]...))
		w.send(reply, 0, 2, nil) // does not add up, so that the limit of a frame is all that let it through
		var violation *rpc.ProtocolError
		require.Error(t, (<-called).err)
		require.ErrorAs(t, host.Err(), &violation)
		require.ErrorContains(t, host.Err(), "come to 4996 bytes of the 19003 announced")
	})
	eachMode(t, func(t *testing.T, ends makeEnds) {
		hostEnd, workerEnd := ends(t)
		w, served := newWire(t, hostEnd), make(chan error, 1)
		h := vectorHello()
		h.MaxFrame, h.MaxMessage = 5000, 20_000
		go func() { // ends with the stream
			served <- playVectorWorker(t, workerEnd, rpc.WorkerOptions{Hello: h, Handler: rpc.HandlerFunc(echo)}, nil)
		}()
		w.expect(hello)
		w.send(welcome, 0, 0, encoded(t, map[string]any{"max_frame": 1024, "max_message": 3000}))
		w.expect(ready)
		w.send(call, 0, 2, callBody(t, "echo", make([]byte, 2900)))
		sizes := w.frameSizes(reply)
		require.Equal(t, []int{1024, 1024}, sizes[:2])
		require.Len(t, sizes, 3)
		w.send(call, 0, 4, callBody(t, "echo", make([]byte, 4000)))
		code, notRun := answer(t, w.expect(failed))
		require.Equal(t, rpc.CodeBadResult, code)
		require.False(t, notRun)
		w.write(framing.Header{Type: call, Length: 5001, ID: 6}.Append(nil))
		require.ErrorContains(t, <-served, "length 5001 is over the limit of 5000")
		require.NoError(t, hostEnd.Close())
	})
}

// frameSizes returns the payload sizes of the frames of the next message, which is of that type.
func (w *wire) frameSizes(typ uint8) (sizes []int) {
	for b := w.rawMessage(typ); len(b) > 0; {
		h, err := framing.Parse(b)
		require.NoError(w.t, err)
		sizes = append(sizes, int(h.Length))
		b = b[framing.HeaderSize+int(h.Length):]
	}
	return sizes
}

// Whatever a host answers, a worker never takes more calls at a time than it has announced, and one that takes any number takes one if the host
// makes no offer.
func TestInFlightOfAWorker(t *testing.T) {
	for _, c := range []struct{ worker, welcomed, want int }{
		{0, 0, 1}, {1, 0, 1}, {1, 100, 1}, {4, 0, 4}, {4, 2, 2}, {4, 100, 4}, {-1, 0, 1}, {-1, 7, 7}, {-1, 1 << 40, 1 << 16}, {4, -1, 4}, {-1, -1, 1},
	} {
		hostEnd, workerEnd := memoryEnds(t)
		w := newWire(t, hostEnd)
		go func() { // ends with the answer
			w.expect(hello)
			w.send(welcome, 0, 0, encoded(t, map[string]any{"inflight": c.welcomed}))
		}()
		worker, err := rpc.Announce(t.Context(), workerEnd, rpc.WorkerOptions{Hello: rpc.Hello{InFlight: c.worker}})
		require.NoError(t, err, "%+v", c)
		require.Equal(t, c.want, worker.Capacity(), "%+v", c)
		require.NoError(t, hostEnd.Close())
		_ = worker.Close()
	}
}

// A worker may say at any time of its start that it cannot.
func TestInitErrorComesBeforeOrAfterStarting(t *testing.T) {
	for _, loading := range []int{0, 1, 50} {
		eachMode(t, func(t *testing.T, ends makeEnds) {
			said := 0
			w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{Starting: func(string) { said++ }})
			w.write(helloFrame(t, nil))
			w.expect(welcome)
			for range loading {
				w.send(starting, 0, 0, []byte{0x80})
			}
			w.send(initError, 0, 0, encoded(t, map[string]string{"message": "no license"}))
			var failed *rpc.InitError
			require.ErrorAs(t, (<-done).err, &failed)
			require.Equal(t, "no license", failed.Message)
			require.Equal(t, loading, said)
		})
	}
}

// An integer of a call's array may be written in any form that holds it: encoders differ.
func TestIntegersOfACallInAnyForm(t *testing.T) {
	for _, seven := range []string{"\x07", "\xcc\x07", "\xcd\x00\x07", "\xce\x00\x00\x00\x07", "\xcf\x00\x00\x00\x00\x00\x00\x00\x07",
		"\xd0\x07", "\xd1\x00\x07", "\xd2\x00\x00\x00\x07", "\xd3\x00\x00\x00\x00\x00\x00\x00\x07"} {
		attempt := make(chan int, 1)
		_, w, _ := announceWire(t, ringEnds, serving(1, rpc.HandlerFunc(func(_ context.Context, r *rpc.Request) (any, error) {
			attempt <- r.Attempt
			return nil, nil
		})))
		w.send(call, 0, 2, []byte("\x94\xa1m\x00"+seven+"\xc0\xc0"))
		w.expect(reply)
		require.Equal(t, 7, <-attempt, "%q", seven)
	}
	for _, below := range []string{"\xff", "\xd0\xff", "\xd1\xff\xff", "\xd2\xff\xff\xff\xff",
		"\xd3\xff\xff\xff\xff\xff\xff\xff\xff", "\xca\x40\x00\x00\x00", "\xc0", "\xa1x"} {
		_, w, _ := announceWire(t, ringEnds, serving(1, rpc.HandlerFunc(echo)))
		w.send(call, 0, 2, []byte("\x94\xa1m"+below+"\x01\xc0\xc0"))
		code, notRun := answer(t, w.expect(failed))
		require.Equal(t, rpc.CodeBadArgs, code, "%q", below)
		require.True(t, notRun)
	}
}
