package rpc_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// stressRounds is how often each cell of the leaving callers' tables is gone through; make stress sets it.
var stressRounds = flag.Int("stress.rounds", 20, "rounds of the tests in which callers leave")

// crowd is callers on one connection, some of whom leave in the same phase of their calls, round after round.
type crowd struct {
	t        *testing.T
	p        *pair
	worker   *valve
	host     *counter // nil in memory
	inFlight int
	bubble   bool
	r        *rand.Rand

	nonce   int64
	ran     sync.Map // nonces that a handler got
	entered chan int64
	release atomic.Pointer[chan struct{}] // of this round; closed: the handlers that hold their calls let go
	chain   sync.Map                      // what the handlers of chained calls run, by nonce
	freed   chan struct{}
	all     []*visitor
	told    map[string]int // what those were told who left in the same instant
}

// visitor is a call.
type visitor struct {
	nonce  int64
	leaves bool
	leave  func() // as its context ends
	done   chan error
	out    load
	freed  atomic.Int32
}

func newCrowd(t *testing.T, ends makeEnds, inFlight int, bubble bool) *crowd {
	c := &crowd{
		t: t, worker: newValve(), inFlight: inFlight, bubble: bubble, r: sources(t, 1)[0],
		entered: make(chan int64, 100), freed: make(chan struct{}, 100),
		told: map[string]int{},
	}
	c.p = connect(t, func(t testing.TB) (stream, stream) {
		hostEnd, workerEnd := ends(t)
		if full, ok := hostEnd.(fullStream); ok {
			c.host = &counter{fullStream: full}
			c.host.out = newMeter(func(h framing.Header) {
				if h.Type == call && h.Flags&framing.More == 0 {
					c.host.calls++
				}
			})
			hostEnd = c.host
		}
		if try, ok := workerEnd.(tryStream); ok {
			c.worker.tryStream = try
			return hostEnd, c.worker
		}
		c.worker.tryStream = blocking{workerEnd}
		return hostEnd, c.worker
	}, setup{inFlight: inFlight, handler: c.serve})
	return c
}

// serve is the worker's handler. It answers each call with its own nonce.
func (c *crowd) serve(ctx context.Context, r *rpc.Request) (any, error) {
	var in load
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	if _, again := c.ran.LoadOrStore(in.Nonce, true); again {
		c.t.Errorf("call %d was executed twice", in.Nonce)
	}
	switch r.Method {
	case "obey", "deaf":
		release, over := *c.release.Load(), ctx.Done()
		if r.Method == "deaf" {
			over = nil
		}
		c.entered <- in.Nonce
		select {
		case <-over:
		case <-release:
		}
	case "chained":
		c.entered <- in.Nonce
		link, _ := c.chain.Load(in.Nonce)
		link.(func())()
	case "linger":
		<-ctx.Done() // its budget is small
	case "soon":
		c.pause(int(in.Data[0]))
	}
	return load{Nonce: in.Nonce}, nil
}

// pause lets a little time pass: milliseconds in a bubble, otherwise as long as it takes others to run.
func (c *crowd) pause(n int) {
	if c.bubble {
		time.Sleep(time.Duration(n) * time.Millisecond)
		return
	}
	for range n * 20 {
		runtime.Gosched()
	}
}

// visit makes a call in the background. Who leaves does so by a cancel, or in a bubble by a deadline; who stays has a long one.
func (c *crowd) visit(method string, leaves bool, args func(v *visitor) any) *visitor {
	c.nonce++
	v := &visitor{nonce: c.nonce, leaves: leaves, done: make(chan error, 1)}
	c.all = append(c.all, v)
	ctx, cancelCall := context.WithTimeout(c.t.Context(), time.Hour)
	v.leave = cancelCall
	if leaves && c.bubble && c.r.IntN(2) == 0 {
		short, cancelShort := context.WithTimeout(ctx, time.Duration(1+c.r.IntN(5))*time.Second)
		ctx, v.leave = short, func() {
			<-short.Done()
			cancelShort()
		}
	}
	o := rpc.CallOptions{Budget: time.Hour, Freed: func() {
		v.freed.Add(1)
		c.freed <- struct{}{}
	}}
	if method == "linger" {
		o.Budget = 3 * time.Millisecond
	}
	go func() { // ends with the call
		defer cancelCall()
		v.done <- c.p.host.Peer.Call(ctx, method, args(v), &v.out, o)
	}()
	return v
}

// pipeful is more than a pipe takes, and fits into one frame.
const pipeful = 80 << 10

// sized are arguments of about that many bytes.
func sized(n int) func(*visitor) any {
	return func(v *visitor) any { return load{Nonce: v.nonce, Data: make([]byte, n)} }
}

// settle returns when all callers have come as far as they can, which condition must hold then.
func (c *crowd) settle(holds func() bool) {
	c.t.Helper()
	if c.bubble {
		synctest.Wait()
		require.True(c.t, holds())
		return
	}
	until(c.t, holds)
}

// pending is a condition: so many calls have been made that have not ended.
func (c *crowd) pending(n int) func() bool {
	return func() bool { return len(c.p.host.InFlight()) == n }
}

// stopReading closes the valve. The ping is for a worker that had begun to read before.
func (c *crowd) stopReading() {
	if c.bubble {
		synctest.Wait() // it has: nothing of the ping stays in the stream
	}
	reached := c.worker.close()
	ctx, cancelPing := context.WithCancel(c.t.Context())
	pinged := make(chan struct{})
	go func() { // ends with ctx
		defer close(pinged)
		_ = c.p.host.Ping(ctx)
	}()
	<-reached
	cancelPing()
	<-pinged
}

// goes lets those go who leave, and checks what they are told; their places are free, or not yet.
func (c *crowd) goes(visitors []*visitor, want rpc.Delivery, freed int32) {
	c.t.Helper()
	for _, v := range visitors {
		if v.leaves {
			v.leave()
			c.gone(v, want)
			require.Equal(c.t, freed, v.freed.Load(), "call %d", v.nonce)
		}
	}
}

func (c *crowd) gone(v *visitor, want ...rpc.Delivery) {
	c.t.Helper()
	err := <-v.done
	d, cause := delivery(c.t, err)
	require.Contains(c.t, want, d, "call %d: %v", v.nonce, err)
	require.True(c.t, errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded), "call %d: %v", v.nonce, err)
	if d == rpc.NotSent {
		v.nonce = -v.nonce // never to be executed
	}
}

// served checks that a call got its own answer.
func (c *crowd) served(v *visitor) {
	c.t.Helper()
	require.NoError(c.t, <-v.done, "call %d", v.nonce)
	require.Equal(c.t, v.nonce, v.out.Nonce, "another call's answer")
}

// finish ends a round: who stayed is served, every place is free, and so the next calls are served; one takes long enough for the sweep to look at
// it, and has a long deadline, which another's must not replace: P43.
func (c *crowd) finish(visitors []*visitor) {
	c.t.Helper()
	c.worker.open()
	if release := c.release.Swap(nil); release != nil {
		close(*release)
	}
	for _, v := range visitors {
		if !v.leaves {
			c.served(v)
		}
	}
	for range visitors {
		<-c.freed
	}
	c.served(c.visit("echo", false, sized(0)))
	<-c.freed
	c.lingers()
	for _, v := range visitors {
		if _, ran := c.ran.Load(-v.nonce); v.nonce < 0 {
			require.False(c.t, ran, "call %d was executed, and said not to be", -v.nonce)
		}
	}
}

// lingers makes a call that the worker answers after a few milliseconds.
func (c *crowd) lingers() {
	c.t.Helper()
	v := c.visit("linger", false, sized(0))
	err := <-v.done
	<-c.freed
	if e := (*rpc.RemoteError)(nil); errors.As(err, &e) && e.NotRun && e.Code == rpc.CodeDeadline {
		return // the worker has come to it too late
	}
	v.done <- err
	c.served(v)
}

// check is for the end: each call has freed one place, and each that has begun to arrive was answered once.
func (c *crowd) check() {
	if len(c.told) > 0 {
		c.t.Log("in the same instant: ", c.told)
	}
	require.NoError(c.t, c.p.host.Err())
	require.Empty(c.t, c.p.host.InFlight())
	require.NoError(c.t, c.p.host.Close())
	for _, v := range c.all {
		require.EqualValues(c.t, 1, v.freed.Load(), "call %d", v.nonce)
	}
	for _, m := range []*meter{c.worker.in, c.worker.out} {
		m.mu.Lock()
		defer m.mu.Unlock()
	}
	require.Len(c.t, c.worker.ended, len(c.worker.begun))
	for id := range c.worker.begun {
		require.Equal(c.t, 1, c.worker.ended[id], "terminal frames of call %d", id)
	}
}

// someLeave says of n callers who leaves: one at least.
func (c *crowd) someLeave(n int) []bool {
	leaves := make([]bool, n)
	for i := range leaves {
		leaves[i] = c.r.IntN(2) == 0
	}
	leaves[c.r.IntN(n)] = true
	return leaves
}

// leaving are the phases of a call in which its caller leaves; each is one round.
var leaving = map[string]func(c *crowd){
	"encoding": func(c *crowd) {
		var visitors []*visitor
		for _, leaves := range c.someLeave(c.inFlight) {
			visitors = append(visitors, c.visit("echo", leaves, func(v *visitor) any {
				if v.leaves {
					return encodes(v.leave)
				}
				return load{Nonce: v.nonce}
			}))
		}
		for _, v := range visitors {
			if v.leaves {
				c.gone(v, rpc.NotSent)
				require.EqualValues(c.t, 1, v.freed.Load())
			}
		}
		c.finish(visitors)
	},
	"queued behind a full pipe": func(c *crowd) {
		c.stopReading()
		visitors := []*visitor{c.visit("echo", false, sized(pipeful))}
		c.settle(c.pending(1))
		for _, leaves := range c.someLeave(max(1, c.inFlight-1)) {
			visitors = append(visitors, c.visit("echo", leaves, sized(0)))
			c.settle(c.pending(len(visitors)))
		}
		c.goes(visitors, rpc.NotSent, 1)
		c.finish(visitors)
	},
	"half written": func(c *crowd) {
		c.stopReading()
		visitors := []*visitor{c.visit("echo", true, sized(pipeful))}
		c.settle(c.pending(1))
		for len(visitors) < c.inFlight {
			visitors = append(visitors, c.visit("echo", false, sized(0)))
		}
		c.goes(visitors, rpc.Unknown, 0)
		c.finish(visitors)
	},
	"in parts": func(c *crowd) {
		c.stopReading()
		visitors := []*visitor{c.visit("echo", true, sized(1<<20))}
		c.settle(c.pending(1))
		for len(visitors) < c.inFlight {
			visitors = append(visitors, c.visit("echo", false, sized(0)))
		}
		c.goes(visitors, rpc.NotSent, 0)
		c.finish(visitors)
	},
	"sent": func(c *crowd) {
		c.stopReading()
		leave := c.someLeave(c.inFlight)
		if c.host == nil { // it holds nothing: one call is on its way, and the others wait
			leave = append([]bool{true}, make([]bool, c.inFlight-1)...)
		}
		var visitors []*visitor
		before := 0
		if c.host != nil {
			before = c.host.written()
		}
		for i, leaves := range leave {
			visitors = append(visitors, c.visit("echo", leaves, sized(0)))
			c.settle(func() bool { return c.pending(i+1)() && (c.host == nil || c.host.written() == before+i+1) })
		}
		c.goes(visitors, rpc.Unknown, 0)
		c.finish(visitors)
	},
	"running": func(c *crowd) { c.whileRunning("obey") },
	"running, and deaf": func(c *crowd) {
		c.whileRunning("deaf")
	},
}

func (c *crowd) whileRunning(method string) {
	release := make(chan struct{})
	c.release.Store(&release)
	var visitors []*visitor
	for _, leaves := range c.someLeave(c.inFlight) {
		visitors = append(visitors, c.visit(method, leaves, sized(0)))
	}
	for range visitors {
		<-c.entered
	}
	for _, v := range visitors {
		if v.leaves {
			v.leave()
			c.gone(v, rpc.Unknown)
			if method == "deaf" {
				require.Zero(c.t, v.freed.Load(), "the handler still runs: P9")
			}
		}
	}
	c.finish(visitors)
}

// sameInstant is a round in which callers leave while their answers come.
func sameInstant(c *crowd) {
	var visitors, left []*visitor
	for range c.inFlight {
		leaves, after := c.r.IntN(3) > 0, byte(c.r.IntN(4))
		v := c.visit("soon", leaves, func(v *visitor) any { return load{Nonce: v.nonce, Data: []byte{after}} })
		visitors = append(visitors, v)
		if leaves {
			left = append(left, v)
			n, hops := c.r.IntN(4), c.r.IntN(2)*c.r.IntN(40)
			go func() { // ends by itself
				c.pause(n)
				for range hops { // as many goroutines as an answer passes on its way
					runtime.Gosched()
				}
				v.leave()
			}()
		}
	}
	for _, v := range left {
		err := <-v.done
		v.done <- err
		if err == nil {
			c.told["answered"]++
			c.served(v)
			continue
		}
		d, _ := delivery(c.t, err)
		c.told[d.String()]++
		c.gone(v, rpc.Unknown, rpc.NotSent)
	}
	c.finish(visitors)
}

// justBefore is a round in which each answer comes just after the next caller has left, who may be given the reading role before he has noticed.
func justBefore(c *crowd) {
	answer := make([]chan struct{}, c.inFlight)
	visitors := make([]*visitor, c.inFlight)
	for i := range visitors {
		answer[i] = make(chan struct{})
		next := (i + 1) % c.inFlight
		leaves := next != 0 || c.inFlight == 1
		c.chain.Store(c.nonce+1, func() {
			<-answer[i]
			if leaves {
				visitors[next].leave()
			}
		})
		visitors[i] = c.visit("chained", i > 0 || c.inFlight == 1, sized(0))
		<-c.entered // and so they wait for their answers in this order
		if c.bubble {
			synctest.Wait()
		}
	}
	for _, ch := range answer {
		close(ch)
		runtime.Gosched()
	}
	for _, v := range visitors {
		if !v.leaves {
			continue
		}
		if err := <-v.done; err == nil {
			require.Equal(c.t, v.nonce, v.out.Nonce)
		} else {
			v.done <- err
			c.gone(v, rpc.Unknown)
		}
	}
	c.finish(visitors)
}

// encodes is an argument that runs a function while it is encoded.
type encodes func()

func (e encodes) EncodeMsgpack(enc *msgpack.Encoder) error {
	e()
	return enc.EncodeNil()
}

// Callers leave in every phase of a call. Each is told the truth about its call, whose place is freed once and not too early; the others, and those
// who come after them, are served.
func TestP9_P15_P43_CallersLeaveInEveryPhase(t *testing.T) {
	for name, round := range leaving {
		t.Run(name, func(t *testing.T) { rounds(t, round, "pipes") })
	}
	t.Run("in the same instant", func(t *testing.T) { rounds(t, sameInstant, "pipes", "memory", "rings") })
	t.Run("just before the answer", func(t *testing.T) { rounds(t, justBefore, "pipes", "memory", "rings") })
}

// rounds goes through a cell of the table in bubbles, and in real time on these streams.
func rounds(t *testing.T, round func(*crowd), real ...string) {
	for _, inFlight := range []int{1, 8} {
		t.Run(fmt.Sprint(inFlight), func(t *testing.T) {
			test := func(t *testing.T, ends makeEnds, bubble bool) {
				c := newCrowd(t, ends, inFlight, bubble)
				for range *stressRounds {
					round(c)
				}
				c.check()
			}
			bubbles(t, func(t *testing.T, ends makeEnds) { test(t, ends, true) })
			for _, name := range real {
				if ends := modes[name]; ends != nil {
					t.Run("real "+name, func(t *testing.T) { test(t, ends, false) })
				}
			}
		})
	}
}
