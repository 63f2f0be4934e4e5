package rpc_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/rpc"
)

type stream interface {
	rpc.Stream
	rpc.WriteCloser
}

// memoryEnds returns both ends of a connection in memory: no TryWrite, no Interrupt.
func memoryEnds(testing.TB) (host, worker stream) {
	hostIn, workerOut := io.Pipe()
	workerIn, hostOut := io.Pipe()
	return &memoryStream{hostIn, hostOut}, &memoryStream{workerIn, workerOut}
}

type memoryStream struct {
	r *io.PipeReader
	w *io.PipeWriter
}

func (s *memoryStream) Read(p []byte) (int, error)  { return s.r.Read(p) }
func (s *memoryStream) Write(p []byte) (int, error) { return s.w.Write(p) }
func (s *memoryStream) CloseWrite() error           { return s.w.Close() }
func (s *memoryStream) closeRead() error            { return s.r.Close() }

func (s *memoryStream) Close() error {
	_ = s.w.Close()
	return s.r.Close()
}

type makeEnds func(testing.TB) (host, worker stream)

// modes are the kinds of streams that a Peer works on: in memory without and with what a stream can have, and where there are any, pipes of
// the operating system.
var modes = map[string]makeEnds{"memory": memoryEnds, "rings": ringEnds, "quick": quickEnds}

func eachMode(t *testing.T, test func(t *testing.T, ends makeEnds)) {
	for name, ends := range modes {
		t.Run(name, func(t *testing.T) { test(t, ends) })
	}
}

// eachHostMode is eachMode for a test of the host alone.
func eachHostMode(t *testing.T, test func(t *testing.T, ends makeEnds)) {
	for name, ends := range modes {
		if name != "quick" {
			t.Run(name, func(t *testing.T) { test(t, ends) })
		}
	}
}

// pair is a connection with both ends in this process.
type pair struct {
	host               *counted
	worker             *rpc.Peer
	hostEnd, workerEnd stream
	freed              atomic.Int64
	served             chan error
}

type setup struct {
	inFlight int
	handler  rpc.HandlerFunc
	host     rpc.HostOptions
	hello    rpc.Hello
	shutdown func(now bool, grace time.Duration)
	freed    func() // of the host's calls
}

// counted is a host's Peer that says of all its calls when their places are free.
type counted struct {
	*rpc.Peer
	freed func()
}

func (c *counted) Call(ctx context.Context, method string, args, reply any, o rpc.CallOptions) error {
	o.Freed = c.freed
	return c.Peer.Call(ctx, method, args, reply, o)
}

func connect(t testing.TB, ends makeEnds, s setup) *pair {
	p := &pair{served: make(chan error, 1)}
	p.hostEnd, p.workerEnd = ends(t)
	s.hello.InFlight = s.inFlight
	announced := make(chan struct{})
	go func() { // ends with the worker's stream
		defer close(announced)
		w, err := rpc.Announce(context.Background(), p.workerEnd, rpc.WorkerOptions{Hello: s.hello, Handler: s.handler, Shutdown: s.shutdown})
		if err != nil {
			p.served <- err
			return
		}
		p.worker = w
		aboutToServe(w, p.workerEnd)
		if err := w.Ready(); err != nil {
			p.served <- err
			return
		}
		go func() { p.served <- w.Serve() }()
	}()
	host, err := rpc.Connect(context.Background(), p.hostEnd, s.host)
	require.NoError(t, err)
	<-announced
	p.host = &counted{Peer: host, freed: func() {
		p.freed.Add(1)
		if s.freed != nil {
			s.freed()
		}
	}}
	t.Cleanup(func() {
		_ = p.host.Close()
		_ = p.workerEnd.Close()
		<-p.served
		_ = p.worker.Close()
	})
	return p
}

func echo(_ context.Context, r *rpc.Request) (any, error) {
	var raw msgpack.RawMessage
	if err := r.Decode(&raw); err != nil {
		return nil, err
	}
	return raw, nil
}

func TestCallEchoes(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, inFlight := range []int{1, 8} {
			p := connect(t, ends, setup{inFlight: inFlight, handler: echo})
			require.Equal(t, inFlight, p.host.Capacity())
			for _, text := range []string{"", "hello", strings.Repeat("x", 100<<10), strings.Repeat("y", 3<<20)} {
				var out string
				require.NoError(t, p.host.Call(t.Context(), "echo", text, &out, rpc.CallOptions{}))
				require.True(t, text == out, "%d bytes", len(text))
			}
			require.EqualValues(t, 4, p.freed.Load())
		}
	})
}

func TestManyCallersGetTheirOwnAnswers(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		p := connect(t, ends, setup{inFlight: 32, handler: echo})
		var wg sync.WaitGroup
		for caller := range 32 {
			wg.Go(func() {
				for i := range 50 {
					in, out := []int{caller, i}, []int(nil)
					if err := p.host.Call(t.Context(), "echo", in, &out, rpc.CallOptions{}); err != nil || out[0] != caller || out[1] != i {
						t.Errorf("sent %v, got %v: %v", in, out, err)
						return
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 32*50, p.freed.Load())
	})
}

func TestHandlerErrorsArrive(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, inFlight := range []int{1, 4} {
			p := connect(t, ends, setup{inFlight: inFlight, handler: func(_ context.Context, r *rpc.Request) (any, error) {
				switch r.Method {
				case "plain":
					return nil, errors.New("no luck")
				case "coded":
					return nil, &rpc.RemoteError{Code: "quota", Message: "used up", Data: msgpack.RawMessage{0x07}}
				case "panic":
					panic("at the disco")
				case "args":
					var n int
					return n, r.Decode(&n)
				case "result":
					return make(chan int), nil
				}
				return nil, rpc.UnknownMethod(r.Method)
			}})
			call := func(method string) *rpc.RemoteError {
				err := p.host.Call(t.Context(), method, "text", nil, rpc.CallOptions{})
				var remote *rpc.RemoteError
				require.ErrorAs(t, err, &remote)
				return remote
			}
			require.Equal(t, &rpc.RemoteError{Code: "error", Message: "no luck"}, call("plain"))
			require.Equal(t, &rpc.RemoteError{Code: "quota", Message: "used up", Data: msgpack.RawMessage{0x07}}, call("coded"))
			require.Contains(t, call("panic").Stack, "peer_test.go")
			require.True(t, call("args").NotRun)
			require.Equal(t, rpc.CodeBadArgs, call("args").Code)
			require.Equal(t, rpc.CodeBadResult, call("result").Code)
			require.True(t, call("other").NotRun)
		}
	})
}

func BenchmarkCall(b *testing.B) {
	for name, ends := range modes {
		for _, inFlight := range []int{1, 64} {
			b.Run(name+map[int]string{1: "/inflight=1", 64: "/inflight=64"}[inFlight], func(b *testing.B) {
				p := connect(b, ends, setup{inFlight: inFlight, handler: echo})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				payload := make([]byte, 64)
				b.ReportAllocs()
				for b.Loop() {
					var out msgpack.RawMessage
					if err := p.host.Call(ctx, "echo", payload, &out, rpc.CallOptions{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
