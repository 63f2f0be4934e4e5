package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

// storm is many callers on one connection who behave like a pool's: each call waits for a place, which Freed gives back.
type storm struct {
	t        *testing.T
	p        *pair
	set      chan struct{} // closed when p is
	places   chan struct{}
	calls    atomic.Int64
	freed    atomic.Int64
	executed sync.Map // nonces of calls that a handler saw
	unsent   sync.Map // nonces of calls that are said not to have been executed
	ending   atomic.Bool
}

type load struct {
	Nonce int64
	Data  []byte
}

func newStorm(t *testing.T, ends makeEnds, inFlight int, hold bool) *storm {
	s := &storm{t: t, set: make(chan struct{}), places: make(chan struct{}, inFlight)}
	for range inFlight {
		s.places <- struct{}{}
	}
	s.p = connect(t, ends, setup{
		inFlight: inFlight, handler: s.serve, hello: rpc.Hello{MaxFrame: 2048, MaxMessage: 400 << 10},
		freed: func() {
			s.freed.Add(1)
			s.places <- struct{}{} // blocks for ever if a place is freed twice
		},
		host: rpc.HostOptions{
			HoldLost: hold, Welcome: rpc.Welcome{MaxFrame: 4096, MaxMessage: 400 << 10},
			Handler: rpc.HandlerFunc(func(_ context.Context, r *rpc.Request) (any, error) { return r.Method, nil }),
		},
	})
	close(s.set)
	return s
}

// serve is the worker's handler.
func (s *storm) serve(ctx context.Context, r *rpc.Request) (any, error) {
	var in load
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	s.executed.Store(in.Nonce, true)
	switch r.Method {
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case "fail":
		return nil, fmt.Errorf("failed %d", in.Nonce)
	case "panic":
		panic(in.Nonce)
	case "back":
		var name string
		<-s.set
		if err := s.p.worker.Call(ctx, "host", nil, &name, rpc.CallOptions{}); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// moody is the context of a random call: one in so many ends at once, another within two milliseconds, as do those of calls that wait for it.
func moody(t testing.TB, r *rand.Rand, of int, waits bool) (context.Context, context.CancelFunc) {
	how := r.IntN(of)
	if how == 1 || how > 1 && waits {
		return context.WithTimeout(t.Context(), time.Duration(r.IntN(2_000_000)))
	}
	ctx, cancelCall := context.WithCancel(t.Context())
	if how == 0 {
		go cancelCall()
	}
	return ctx, cancelCall
}

// call makes one random call, and checks what it came to.
func (s *storm) call(r *rand.Rand) error {
	<-s.places
	method := [...]string{"echo", "echo", "echo", "wait", "fail", "panic", "back"}[r.IntN(7)]
	size := [...]int{0, 10, 1000, 5000, 20_000, 150_000}[min(r.IntN(12), r.IntN(6))]
	in := load{Nonce: s.calls.Add(1), Data: bytes.Repeat([]byte{byte(r.Uint32())}, size)}
	ctx, cancelCall := moody(s.t, r, 4, method == "wait")
	defer cancelCall()
	var out load
	err := s.p.host.Call(ctx, method, in, &out, rpc.CallOptions{})
	var cut *rpc.CallError
	var answered *rpc.RemoteError
	switch {
	case err == nil:
		if out.Nonce != in.Nonce || !bytes.Equal(in.Data, out.Data) || method == "fail" || method == "panic" {
			s.t.Errorf("call %d (%s) got the answer of %d", in.Nonce, method, out.Nonce)
		}
	case errors.As(err, &answered):
		late := ctx.Err() != nil || answered.Code == rpc.CodeDeadline // the worker's clock may be faster
		if answered.Code == rpc.CodeOverloaded || answered.NotRun && !late && !s.ending.Load() {
			s.t.Errorf("call %d (%s): %v", in.Nonce, method, err)
		}
		if answered.NotRun {
			s.unsent.Store(in.Nonce, err)
		}
	case errors.As(err, &cut):
		if cut.Delivery == rpc.NotSent {
			s.unsent.Store(in.Nonce, err)
		}
		if ctx.Err() == nil && !s.ending.Load() {
			s.t.Errorf("call %d (%s): %v", in.Nonce, method, err)
		}
	default:
		s.t.Errorf("call %d (%s): %v", in.Nonce, method, err)
	}
	return err
}

// check is for the end: each call freed one place, and nothing was executed that is said not to have been.
func (s *storm) check() {
	for range cap(s.places) {
		<-s.places
	}
	require.Equal(s.t, s.calls.Load(), s.freed.Load())
	s.unsent.Range(func(nonce, err any) bool {
		_, executed := s.executed.Load(nonce)
		require.False(s.t, executed, "call %d was executed: %v", nonce, err)
		return true
	})
}

// sources gives each caller a source of its own; the seed is in the test's output.
func sources(t *testing.T, n int) (all []*rand.Rand) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range n {
		all = append(all, rand.New(rand.NewPCG(seed, uint64(i))))
	}
	return all
}

// Many callers with calls of all sizes who leave when they like: answers reach their callers, places are counted right.
func TestRandomCalls(t *testing.T) {
	const callers, each = 10, 20
	test := func(t *testing.T, ends makeEnds) {
		for _, inFlight := range []int{1, 8} {
			s := newStorm(t, ends, inFlight, false)
			var wg sync.WaitGroup
			for _, r := range sources(t, callers) {
				wg.Go(func() {
					for range each {
						_ = s.call(r) // it has checked the error
					}
				})
			}
			wg.Wait()
			s.check()
			require.NoError(t, s.p.host.Err())
			require.NoError(t, s.p.host.Call(t.Context(), "echo", load{}, nil, rpc.CallOptions{}))
		}
	}
	eachMode(t, test)
	bubbles(t, test)
}

// The same, and in the middle of it the connection ends in one of its ways: every caller returns, every place is freed.
func TestRandomEndings(t *testing.T) {
	endings := map[string]func(*storm){
		"close":       func(s *storm) { _ = s.p.host.Close() },
		"abort":       func(s *storm) { s.p.host.Abort(errGone) },
		"drain":       func(s *storm) { _ = s.p.workerEnd.Close(); s.p.host.Drain(errGone) },
		"goodbye":     func(s *storm) { s.p.worker.Goodbye("tired", false) },
		"shutdown":    func(s *storm) { _ = s.p.host.Shutdown(true, 0) },
		"end":         func(s *storm) { <-s.p.worker.Goodbye("tired", true); _ = s.p.workerEnd.Close() },
		"close write": func(s *storm) { _ = s.p.host.CloseWrite(context.Background()); <-s.p.host.Done() },
		"abort drain": func(s *storm) { s.p.host.Abort(errGone); s.p.host.Drain(errGone) },
	}
	test := func(t *testing.T, ends makeEnds) {
		for name, end := range endings {
			for _, inFlight := range []int{1, 8} {
				t.Run(fmt.Sprint(name, inFlight), func(t *testing.T) {
					s := newStorm(t, ends, inFlight, name == "drain" || name == "abort drain")
					var wg sync.WaitGroup
					for _, r := range sources(t, 10) {
						wg.Go(func() {
							for !s.ending.Load() || s.call(r) == nil || s.p.host.Err() == nil && r.IntN(20) > 0 {
								_ = s.call(r)
							}
						})
					}
					for s.calls.Load() < 30 {
						_ = s.p.host.Ping(t.Context())
					}
					s.ending.Store(true)
					if name == "close write" {
						go func() { _ = s.p.workerEnd.CloseWrite() }() // as a worker does at the end of its input
					}
					end(s)
					wg.Wait()
					s.p.host.Drain(errGone)
					s.check()
				})
			}
		}
	}
	eachMode(t, test)
}
