package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

// relay is many callers on one connection who put each other's calls on their way: who finds no place prepares its call and sleeps in a queue, and
// whoever frees a place starts the call of the first.
type relay struct {
	t      *testing.T
	group  *rpc.Group
	p      *pair
	places int

	mu    sync.Mutex
	free  int
	queue []*guest

	nonce    atomic.Int64
	executed sync.Map // nonces of calls that the handler saw
	ending   atomic.Bool
	started  atomic.Int64 // calls that were started for their callers
}

// guest is one call.
type guest struct {
	rpc.Prepared
	r     *relay
	taken bool // out of the queue, with a place; guarded by relay.mu
	freed atomic.Int32

	nonce  int64
	unsent error // it is said not to have been executed
}

func newRelay(t *testing.T, ends makeEnds, places int) *relay {
	r := &relay{t: t, group: new(rpc.Group), places: places, free: places}
	r.p = connect(t, ends, setup{
		inFlight: places, handler: r.serve, hello: rpc.Hello{MaxFrame: 2048, MaxMessage: 400 << 10},
		host: rpc.HostOptions{Group: r.group, Welcome: rpc.Welcome{MaxFrame: 4096, MaxMessage: 400 << 10}},
	})
	return r
}

// serve is the worker's handler.
func (r *relay) serve(ctx context.Context, req *rpc.Request) (any, error) {
	var in load
	if err := req.Decode(&in); err != nil {
		return nil, err
	}
	if _, again := r.executed.LoadOrStore(in.Nonce, true); again {
		r.t.Errorf("call %d was executed twice", in.Nonce)
	}
	switch req.Method {
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case "fail":
		return nil, fmt.Errorf("failed %d", in.Nonce)
	}
	return in, nil
}

// release gives the call's place to the first in the queue.
func (g *guest) release() {
	g.freed.Add(1)
	r := g.r
	r.mu.Lock()
	if len(r.queue) == 0 {
		r.free++
		r.mu.Unlock()
		return
	}
	next := r.queue[0]
	r.queue, next.taken = r.queue[1:], true
	c := next.Prepared
	r.mu.Unlock()
	if r.p.host.Start(c, next.release) {
		r.started.Add(1)
	} else {
		c.Tell()
	}
}

// enter takes a place or, if there is none, one in the queue; locked.
func (g *guest) enter() bool {
	if g.r.free == 0 {
		return false
	}
	g.r.free--
	g.taken = true
	return true
}

var errNoPlace = errors.New("left the queue")

// call makes one call, which waits for a place.
func (g *guest) call(ctx context.Context, method string, args, reply any) error {
	r := g.r
	r.mu.Lock()
	entered := g.enter()
	r.mu.Unlock()
	if entered {
		return r.p.host.Peer.Call(ctx, method, args, reply, rpc.CallOptions{Freed: g.release})
	}
	c, err := r.group.Prepare(ctx, method, args, rpc.CallOptions{})
	if err != nil {
		return err
	}
	r.mu.Lock()
	g.Prepared = c
	if entered = g.enter(); !entered {
		r.queue = append(r.queue, g)
	}
	r.mu.Unlock()
	if entered {
		return r.p.host.Wait(ctx, c, reply, g.release)
	}
	select {
	case <-c.Ready():
	case <-ctx.Done():
		r.mu.Lock()
		if !g.taken {
			r.queue = slices.DeleteFunc(r.queue, func(other *guest) bool { return other == g })
			r.mu.Unlock()
			r.group.Discard(c)
			return errNoPlace
		}
		r.mu.Unlock()
		r.p.host.Rouse(c)
	}
	return r.p.host.Wait(ctx, c, reply, g.release)
}

// visit makes one random call, and checks what it came to.
func (r *relay) visit(rnd *rand.Rand) (g *guest, lost bool) {
	method := [...]string{"echo", "echo", "echo", "echo", "wait", "fail"}[rnd.IntN(6)]
	size := [...]int{0, 10, 1000, 5000, 20_000, 150_000}[min(rnd.IntN(30), rnd.IntN(6))]
	in := load{Nonce: r.nonce.Add(1), Data: bytes.Repeat([]byte{byte(rnd.Uint32())}, size)}
	ctx, cancelCall := moody(r.t, rnd, 6, method == "wait")
	defer cancelCall()
	g = &guest{r: r, nonce: in.Nonce}
	var out load
	err := g.call(ctx, method, in, &out)
	var cut *rpc.CallError
	var answered *rpc.RemoteError
	switch {
	case err == nil:
		if out.Nonce != in.Nonce || !bytes.Equal(in.Data, out.Data) || method != "echo" {
			r.t.Errorf("call %d (%s) got the answer of %d", in.Nonce, method, out.Nonce)
		}
	case errors.As(err, &answered):
		late := ctx.Err() != nil || answered.Code == rpc.CodeDeadline // the worker's clock may be faster
		if answered.Code == rpc.CodeOverloaded || !late && !r.ending.Load() && answered.Message != fmt.Sprint("failed ", in.Nonce) {
			r.t.Errorf("call %d (%s): %v", in.Nonce, method, err)
		}
	case errors.As(err, &cut):
		if cut.Delivery == rpc.NotSent {
			g.unsent = err
		}
		if ctx.Err() == nil && !r.ending.Load() {
			r.t.Errorf("call %d (%s): %v", in.Nonce, method, err)
		}
	case errors.Is(err, errNoPlace):
		g.unsent = err
	default:
		r.t.Errorf("call %d (%s): %v", in.Nonce, method, err)
	}
	if (err == nil || answered != nil) && g.freed.Load() != 1 {
		r.t.Errorf("call %d knows of its answer, and its place has been freed %d times", in.Nonce, g.freed.Load())
	}
	return g, cut != nil && r.p.host.Err() != nil
}

// storm has many callers make their calls. With ends they make them until the connection has ended.
func (r *relay) storm(callers, each int, ends bool) {
	guests := make([][]*guest, callers)
	var wg sync.WaitGroup
	for i, rnd := range sources(r.t, callers) {
		wg.Go(func() {
			for n := 0; ends || n < each; n++ {
				g, lost := r.visit(rnd)
				guests[i] = append(guests[i], g)
				if lost || ends && r.ending.Load() && n > each {
					return
				}
			}
		})
	}
	wg.Wait()
	if ends {
		r.p.host.Drain(errGone)
	} else {
		require.NoError(r.t, r.p.host.Ping(r.t.Context()))
		for len(r.p.host.InFlight()) > 0 { // callers have left whose calls are still to be answered
			require.NoError(r.t, r.p.host.Ping(r.t.Context()))
		}
	}
	require.NoError(r.t, r.p.host.Close()) // whoever reads has dealt with what it has read
	for _, g := range slices.Concat(guests...) {
		want := int32(0)
		if g.taken {
			want = 1
		}
		require.Equal(r.t, want, g.freed.Load())
		_, executed := r.executed.Load(g.nonce)
		require.False(r.t, executed && g.unsent != nil, "call %d was executed: %v", g.nonce, g.unsent)
	}
	require.Equal(r.t, r.places, r.free)
	require.Empty(r.t, r.queue)
}

// Callers who start each other's calls, and leave when they like: answers reach their callers, each place is freed once.
func TestStart_Storm(t *testing.T) {
	test := func(t *testing.T, ends makeEnds) {
		for _, places := range []int{1, 8} {
			r := newRelay(t, ends, places)
			r.storm(24, 8, false)
			require.NotZero(t, r.started.Load())
		}
	}
	eachMode(t, test)
	bubbles(t, test)
}

// The same, and in the middle of it the connection ends.
func TestStart_StormEnds(t *testing.T) {
	test := func(t *testing.T, ends makeEnds) {
		for name, end := range map[string]func(*relay){
			"close":   func(r *relay) { _ = r.p.host.Close() },
			"abort":   func(r *relay) { r.p.host.Abort(errGone) },
			"drain":   func(r *relay) { _ = r.p.workerEnd.Close(); r.p.host.Drain(errGone) },
			"goodbye": func(r *relay) { r.p.worker.Goodbye("tired", false) },
			"end":     func(r *relay) { <-r.p.worker.Goodbye("tired", true); _ = r.p.workerEnd.Close() },
		} {
			for _, places := range []int{1, 8} {
				t.Run(fmt.Sprint(name, places), func(t *testing.T) {
					r := newRelay(t, ends, places)
					ended := make(chan struct{})
					go func() { // ends with the storm
						defer close(ended)
						for r.nonce.Load() < 60 {
							_ = r.p.host.Ping(t.Context())
						}
						r.ending.Store(true)
						end(r)
					}()
					r.storm(24, 4, true)
					<-ended
				})
			}
		}
	}
	eachMode(t, test)
}
