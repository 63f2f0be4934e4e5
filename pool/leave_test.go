package pool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// stressRounds is how often each cell of the leaving callers' table is gone through; make stress sets it.
var stressRounds = flag.Int("stress.rounds", 20, "rounds of the tests in which callers leave")

// desk is a crew of one worker whose callers leave the queue, round after round.
type desk struct {
	*crew
	inFlight int
	r        *rand.Rand
	nonce    int
	ran      sync.Map      // texts that a handler got
	last     sync.Map      // functions that held calls run at last, by text
	release  chan struct{} // closed: the calls that are held end
	mu       sync.Mutex    // guards release
}

// queuer is a call that waits for a place, or once did.
type queuer struct {
	text string
	done chan struct{}
	out  string
	err  error
}

// handle answers with what it got, "hold" when it is let go, "nap" after some milliseconds.
func (d *desk) handle(j job) (any, error) {
	text, nap := j.arg, 0
	if _, again := d.ran.LoadOrStore(text, true); again {
		d.t.Errorf("call %q was executed twice", text)
	}
	d.mu.Lock()
	release := d.release
	d.mu.Unlock()
	if j.method == "nap" {
		_, _ = fmt.Sscanf(text, "%d", &nap)
		timer := time.NewTimer(time.Duration(nap) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-j.over:
		}
		return text, nil
	}
	if j.method == "hold" {
		select {
		case <-release:
		case <-j.over:
		}
		if last, ok := d.last.LoadAndDelete(text); ok {
			last.(func())()
		}
	}
	return text, nil
}

// call makes a call in the background. Every text is another one, and begins with a number of milliseconds.
func (d *desk) call(ctx context.Context, method string, nap int, o CallOptions) *queuer {
	d.nonce++
	q := &queuer{text: fmt.Sprintf("%d ms, call %d", nap, d.nonce), done: make(chan struct{})}
	go func() { // ends with the call
		defer close(q.done)
		q.err = d.Call(ctx, method, q.text, &q.out, o)
	}()
	return q
}

// check waits for the call's end, and says whether it was served. Otherwise it has left, and the error says where.
func (d *desk) check(q *queuer, leaves bool) (served bool) {
	<-q.done
	if q.err == nil {
		require.Equal(d.t, q.text, q.out, "another call's answer")
		return true
	}
	require.True(d.t, leaves, "call %q: %v", q.text, q.err)
	require.True(d.t, errors.Is(q.err, context.Canceled) || errors.Is(q.err, context.DeadlineExceeded), "call %q: %v", q.text, q.err)
	e := asError(d.t, q.err)
	require.Equal(d.t, ClassContext, e.Class)
	if _, ran := d.ran.Load(q.text); ran {
		require.Equal(d.t, rpc.Unknown, e.Delivery, "call %q was executed", q.text)
	}
	return false
}

// quiet checks what holds between two rounds: no place is lost, and the next call is served.
func (d *desk) quiet() {
	d.serves()
	time.Sleep(10 * time.Millisecond) // calls that have been left end
	synctest.Wait()
	s := d.Snapshot()
	require.Zero(d.t, s.Waiting)
	require.Zero(d.t, s.Workers[0].InFlight)
	require.EqualValues(d.t, 1, s.Counters.Started)
	require.Zero(d.t, s.Counters.InternalErrors)
	d.ran.Clear() // the text that serves sends is always the same
}

// hold takes all places.
func (d *desk) hold() (held []*queuer) {
	d.mu.Lock()
	d.release = make(chan struct{})
	d.mu.Unlock()
	for range d.inFlight {
		held = append(held, d.call(d.t.Context(), "hold", 0, CallOptions{}))
	}
	synctest.Wait()
	require.Equal(d.t, d.inFlight, d.Snapshot().Workers[0].InFlight)
	return held
}

// whileQueued: all places are taken, and some of those who wait for one leave.
func (d *desk) whileQueued() {
	held := d.hold()

	type waiting struct {
		*queuer
		leave func() // nil: it stays
	}
	var all []waiting
	for i := range 6 {
		ctx, cancel := context.WithTimeout(d.t.Context(), time.Hour)
		defer cancel()
		w := waiting{}
		switch leaves := i == 0 || d.r.IntN(2) == 0; {
		case leaves && d.r.IntN(2) == 0:
			short, cancelShort := context.WithTimeout(ctx, time.Duration(1+d.r.IntN(5))*time.Second)
			defer cancelShort()
			ctx, w.leave = short, func() { <-short.Done() }
		case leaves:
			w.leave = cancel
		}
		w.queuer = d.call(ctx, "echo", 0, CallOptions{Attempt: 1 + d.r.IntN(2)})
		all = append(all, w)
	}
	synctest.Wait()
	require.Equal(d.t, len(all), d.Snapshot().Waiting)
	d.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, w := range all {
		if w.leave != nil {
			w.leave()
			require.False(d.t, d.check(w.queuer, true))
			require.Equal(d.t, rpc.NotSent, asError(d.t, w.err).Delivery)
		}
	}
	close(d.release)
	for _, w := range all {
		if w.leave == nil {
			require.True(d.t, d.check(w.queuer, false))
		}
	}
	for _, q := range held {
		require.True(d.t, d.check(q, false))
	}
	for _, w := range all {
		_, ran := d.ran.Load(w.text)
		require.Equal(d.t, w.leave == nil, ran)
	}
}

// whileGranted: callers leave in the same instants in which places become free and are given to them, and in which their answers come.
func (d *desk) whileGranted() {
	var stays, leaves []*queuer
	for range 3 * d.inFlight {
		ctx, o := d.t.Context(), CallOptions{Attempt: 1 + d.r.IntN(2)}
		nap := 1 + d.r.IntN(3)
		if d.r.IntN(2) == 0 {
			stays = append(stays, d.call(ctx, "nap", nap, o))
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		at, hops := time.Duration(1+d.r.IntN(6))*time.Millisecond, d.r.IntN(60)
		go func() { // ends by itself
			time.Sleep(at)
			for range hops { // as many goroutines as an answer passes on its way
				runtime.Gosched()
			}
			cancel()
		}()
		leaves = append(leaves, d.call(ctx, "nap", nap, o))
	}
	for _, q := range stays {
		require.True(d.t, d.check(q, false))
	}
	for _, q := range leaves {
		d.check(q, true)
	}
}

// justBefore: callers leave just before a place becomes free, which they are given before they have noticed.
func (d *desk) justBefore() {
	held := d.hold()
	var leaves []*queuer
	for _, q := range held {
		ctx, cancel := context.WithCancel(d.t.Context())
		d.last.Store(q.text, func() { cancel() })
		leaves = append(leaves, d.call(ctx, "echo", 0, CallOptions{}))
		synctest.Wait() // they stand in this order
	}
	stays := d.call(d.t.Context(), "echo", 0, CallOptions{})
	synctest.Wait()
	close(d.release)
	for _, q := range append(held, stays) {
		require.True(d.t, d.check(q, false))
	}
	for _, q := range leaves {
		d.check(q, true)
	}
}

// Callers leave while they wait for a place, and in the instant in which they get one: what they are told is true, no place is lost, and nobody
// else notices.
func TestP15_P19_CallersLeaveTheQueue(t *testing.T) {
	for name, round := range map[string]func(*desk){
		"queued": (*desk).whileQueued, "granted in the same instant": (*desk).whileGranted, "granted just after": (*desk).justBefore,
	} {
		for _, s := range speakers {
			for _, inFlight := range []int{1, 8} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, s.name, inFlight), func(t *testing.T) {
					inBubble(t, func(t *testing.T) {
						seed := rand.Uint64()
						t.Logf("seed %d", seed)
						d := &desk{inFlight: inFlight, r: rand.New(rand.NewPCG(seed, 0))}
						d.crew = newCrewOf(t, Options{Dialect: s.dialect()}, func(int) process.Func { return s.worker(inFlight, d.handle) })
						d.quiet()
						for range *stressRounds {
							round(d)
							d.quiet()
						}
					})
				})
			}
		}
	}
}
