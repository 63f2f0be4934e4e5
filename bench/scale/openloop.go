package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/broker"
)

// openLoop sends each call when it is due, whatever has become of those before it, and counts from when it was due: a stall delays no later
// call, and all that come during it have waited. The zero value is not ready for use; each value is for one run.
type openLoop struct {
	call    gauge.Call
	callers int                  // goroutines that make calls
	gap     func() time.Duration // from one call to the next
	latency histogram            // from when a call was due to its answer
	late    histogram            // from when it was due until somebody was told to make it
	failed  atomic.Int64
	pending atomic.Int64 // due, and neither answered nor failed
	due     dispatch

	mu  sync.Mutex
	err error // the first
}

// evenly sends calls at even distances.
func evenly(gap time.Duration) func() time.Duration {
	return func() time.Duration { return gap }
}

// poisson sends so many a second, as if many people who know nothing of each other did.
func poisson(rate float64, seed uint64) func() time.Duration {
	random := rand.New(rand.NewPCG(seed, 0))
	return func() time.Duration { return time.Duration(random.ExpFloat64() / rate * float64(time.Second)) }
}

// run sends calls for so long, or until ctx ends, and returns when all have ended. pending is what was still under way when the last one had been sent.
//
// The callers are there before it begins: where each call that finds all others waiting starts a goroutine of its own, one slow moment leaves hundreds of
// thousands, and the runtime is busy with their stacks from then on.
func (o *openLoop) run(ctx context.Context, length time.Duration) (pending int64) {
	all, cancel := context.WithTimeout(context.Background(), length+patience)
	defer cancel()
	var callers sync.WaitGroup
	for range o.callers {
		callers.Go(func() { o.make(all) }) // ends when no more calls are due
	}
	begin := time.Now()
	for at := begin.Add(o.gap()); at.Sub(begin) < length && ctx.Err() == nil; at = at.Add(o.gap()) {
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait) // the sleep is coarse; all that are due when it ends go at once
		}
		o.late.add(time.Since(at))
		o.pending.Add(1)
		o.due.send(at)
	}
	o.due.close()
	pending = o.pending.Load()
	callers.Wait()
	return pending
}

// make makes calls when they are due.
func (o *openLoop) make(all context.Context) {
	ctx, cancel := context.WithCancel(all) // of its own, as any real caller has
	defer cancel()
	own := make(chan time.Time, 1)
	for at, ok := o.due.next(own); ok; at, ok = o.due.next(own) {
		if err := o.call(ctx); err != nil {
			o.fail(err)
		}
		o.latency.add(time.Since(at))
		o.pending.Add(-1)
	}
}

func (o *openLoop) fail(err error) {
	o.failed.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
}

// outcome is an error if a call has failed, or if one that was due was not made.
func (o *openLoop) outcome() error {
	if due, made := o.late.count(), o.latency.count(); due != made {
		return fmt.Errorf("%d calls were due, and %d have ended", due, made)
	}
	if n := o.failed.Load(); n > 0 {
		return fmt.Errorf("%d calls failed; the first: %w", n, o.err)
	}
	return nil
}

// openCallers are how many callers find out what the maximum is, each making one call after the other, and how many then make the calls that come. With
// thousands, as in a server that starts a goroutine for each request, a queue of calls is thousands of stacks that are in no cache: so much harder is
// half of what few callers reach.
var openCallers = []struct{ closed, open int }{{256, 256}, {256, 4096}, {4096, 4096}}

// measureOpenLoops has calls come at half the rate that callers in a closed loop reach in the same run.
func measureOpenLoops(s settings) ([]table, error) {
	t := table{Name: "open loop", What: fmt.Sprintf("calls that come at random for %v, at half the rate that callers reach in a closed loop; counted from when each was due", s.open)}
	for _, callers := range openCallers {
		for _, o := range []broker.PoolOptions{{Min: 1, Max: 1, InFlight: 64}, {Min: 8, Max: 8, InFlight: 1}} {
			r, err := openLoopRow(o, callers.closed, callers.open, s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.Name, err)
			}
			t.Rows = append(t.Rows, r)
		}
	}
	return []table{t}, nil
}

func openLoopRow(o broker.PoolOptions, closed, open int, s settings) (r row, err error) {
	r.Name = fmt.Sprintf("%d workers, %d in flight, %d callers at half of what %d reach", o.Max, o.InFlight, open, closed)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := newCrew(ctx, o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	most, err := c.closedLoopRate(closed, s)
	if err != nil {
		return r, err
	}
	runtime.GC()
	loop := &openLoop{call: c.echo(), callers: open, gap: poisson(most/2, s.seed)}
	before, err := cpu(c.pids())
	if err != nil {
		return r, err
	}
	stop := c.watchQueue(s.open/queueSamples, loop.due.waiting)
	begin := time.Now()
	pending := loop.run(context.Background(), s.open)
	took := time.Since(begin)
	samples := stop()
	after, err := cpu(c.pids())
	if err != nil {
		return r, err
	}
	r.addOpenLoop(loop, most, took)
	r.addTime("CPU per call", (after-before)/time.Duration(max(1, loop.latency.count())))
	r.addQueue(samples)
	r.add("pending at the end", count, float64(pending))
	return r, loop.outcome()
}

// closedLoopRate is the median over the rounds.
func (c *crew) closedLoopRate(callers int, s settings) (float64, error) {
	calls := make([]gauge.Call, callers)
	for i := range calls {
		calls[i] = c.echo()
	}
	loop := newClosedLoop(c.pids(), calls...)
	var rounds []gauge.Figures
	for range s.rounds {
		f, err := gauge.Round(loop, s.length)
		if err != nil {
			return 0, err
		}
		rounds = append(rounds, f)
	}
	return gauge.MedianOf(rounds, func(f gauge.Figures) float64 { return f.Rate }), nil
}

func (r *row) addOpenLoop(o *openLoop, most float64, took time.Duration) {
	r.add("closed loop, calls/s", perSecond, most)
	r.add("calls/s", perSecond, float64(o.latency.count())/took.Seconds())
	r.addTime("p50", o.latency.quantile(0.5))
	r.addTime("p99", o.latency.quantile(0.99))
	r.addTime("p99.9", o.latency.quantile(0.999))
	r.addTime("max", o.latency.quantile(1))
	r.add("sent", count, float64(o.late.count()))
	r.addTime("sent late, p50", o.late.quantile(0.5))
	r.addTime("sent late, p99", o.late.quantile(0.99))
	r.addTime("sent late, max", o.late.quantile(1))
}

// queueSamples is how often the queue is looked at in an open loop.
const queueSamples = 600

// watchQueue looks at how many callers wait, every so often until stop is called, which returns what was seen. more says how many wait elsewhere.
func (c *crew) watchQueue(every time.Duration, more func() int) (stop func() []int) {
	var samples []int
	done := make(chan struct{})
	var watcher sync.WaitGroup
	// Ends when stop is called.
	watcher.Go(func() {
		ticker := time.NewTicker(max(every, time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				samples = append(samples, c.Snapshot().Waiting+more())
			case <-done:
				return
			}
		}
	})
	return func() []int {
		close(done)
		watcher.Wait()
		return samples
	}
}

// addQueue shows whether the queue has grown: its first third beside its last.
func (r *row) addQueue(samples []int) {
	third := len(samples) / 3
	if third == 0 {
		return
	}
	first, last := samples[:third], samples[len(samples)-third:]
	r.add("waiting, first third", fraction, mean(first))
	r.add("last third", fraction, mean(last))
	r.add("most waiting", count, float64(slices.Max(samples)))
}

func mean(all []int) float64 {
	sum := 0
	for _, n := range all {
		sum += n
	}
	return float64(sum) / float64(len(all))
}
