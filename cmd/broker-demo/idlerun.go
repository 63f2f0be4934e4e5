package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stdcrew/stdcrew/broker"
)

// idleSummary is what an idle crew cost. Its JSON form, one line with these keys in this order, is what programs read.
type idleSummary struct {
	Workers    int     `json:"workers"`
	Ready      float64 `json:"ready_s"`     // until the last of them was ready
	Threads    int     `json:"threads"`     // of this process, while they were idle
	ThreadsMax int     `json:"threads_max"` // at any time
	Resident   int64   `json:"resident_bytes_per_worker"`
	CPU        float64 `json:"cpu_ms"` // of this process, while they were idle
	Idle       float64 `json:"idle_s"` // for how long
	Calls      int64   `json:"calls"`
	Failed     int64   `json:"calls_failed"`
	Used       int     `json:"workers_used"` // that have answered a call
	CallsTook  float64 `json:"calls_s"`
	Stop       float64 `json:"stop_s"` // until all were gone
	Left       int     `json:"left"`   // children of this process after that
}

// footprint is what this process takes at one moment.
type footprint struct {
	threads  int
	resident int64 // bytes
}

// idleRun is one execution of idle.
type idleRun struct {
	idleOptions
	console console
	crew    *crew
	s       idleSummary
	maximum atomic.Int64 // threads
}

func runIdle(o idleOptions, c console, signals <-chan os.Signal, restore func()) error {
	on := watchInterrupts(signals, restore, func() { fmt.Fprintln(c.stderr, "interrupted: stopping the workers") })
	defer on.stop()
	r := &idleRun{idleOptions: o, console: c}
	if _, err := measure(); err != nil {
		return err
	}
	// Min is raised only when the empty broker has been measured.
	crew, err := newCrew(echoCrew, broker.PoolOptions{Command: broker.Self(echoCrew), Max: o.workers, Queue: max(1, o.workers), IdleTimeout: -1})
	if err != nil {
		return err
	}
	r.crew = crew
	watched := r.watchThreads()
	err, stopErr := r.measure(on.drain), r.stop()
	watched()
	r.s.ThreadsMax = max(r.s.Threads, int(r.maximum.Load()))
	if on.drain.Err() != nil {
		return &exitError{exitInterrupted, stopErr}
	}
	if err := errors.Join(err, stopErr); err != nil {
		return err
	}
	return r.print()
}

// watchThreads keeps the largest number of threads until the function that it returns is called.
func (r *idleRun) watchThreads() (stop func()) {
	done := make(chan struct{})
	var watcher sync.WaitGroup
	// Ends with stop. It looks seldom: what it takes is part of what is measured.
	watcher.Go(func() {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			if f, err := measure(); err == nil {
				r.maximum.Store(max(r.maximum.Load(), int64(f.threads)))
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() { close(done); watcher.Wait() }
}

// settled is this process's footprint without its garbage.
func settled() (footprint, error) {
	runtime.GC() // finalizers run, and free more for the next
	debug.FreeOSMemory()
	return measure()
}

// measure goes through the life of the crew up to its end.
func (r *idleRun) measure(ctx context.Context) error {
	empty, err := settled()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := r.crew.pool.Resize(ctx, r.workers, r.workers); err != nil {
		return err
	}
	if err := r.crew.broker.Ready(ctx); err != nil {
		return err
	}
	r.s.Workers, r.s.Ready = r.workers, decimals(time.Since(start).Seconds())
	r.note("%d workers are ready after %.1f s; idle for %v", r.workers, r.s.Ready, r.duration)
	if err := r.idle(ctx, empty); err != nil {
		return err
	}
	r.note("%d calls", r.calls)
	r.call(ctx)
	return nil
}

// idle measures the crew while nothing happens.
func (r *idleRun) idle(ctx context.Context, empty footprint) error {
	if _, err := settled(); err != nil {
		return err
	}
	start := time.Now()
	before, ok := cpuOfHost()
	select {
	case <-time.After(r.duration):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, _ := cpuOfHost()
	r.s.Idle = decimals(time.Since(start).Seconds())
	if ok {
		r.s.CPU = decimals(micros(after-before) / 1000)
	}
	full, err := settled()
	r.s.Threads, r.s.Resident = full.threads, (full.resident-empty.resident)/int64(r.workers)
	return err
}

// call makes the calls, as many at a time as there are workers. For its first one each caller keeps a worker to itself until all have one, so that
// each is used.
func (r *idleRun) call(ctx context.Context) {
	start := time.Now()
	var next, failed atomic.Int64
	one := func(n int64, call caller) {
		var back int64
		if err := call(ctx, echoMethod, n, &back); (err != nil || back != n) && failed.Add(1) == 1 {
			r.note("call %d: %v", n, err)
		}
	}
	var callers, kept sync.WaitGroup
	kept.Add(min(r.workers, r.calls))
	for range min(r.workers, r.calls) {
		callers.Go(func() { // ends when there is no call left to make
			own, err := r.crew.pool.Acquire(ctx)
			kept.Done()
			kept.Wait()
			if err == nil {
				one(next.Add(1), own.Call)
				own.Release()
			}
			for n := next.Add(1); n <= int64(r.calls) && ctx.Err() == nil; n = next.Add(1) {
				one(n, r.crew.pool.Call)
			}
		})
	}
	callers.Wait()
	r.s.Calls, r.s.Failed, r.s.CallsTook = int64(r.calls), failed.Load(), decimals(time.Since(start).Seconds())
	for _, w := range r.crew.pool.Snapshot().Workers {
		if w.Calls > 0 {
			r.s.Used++
		}
	}
}

// caller is how a pool is called, and a lease of one of its workers.
type caller = func(ctx context.Context, method string, in, out any, opts ...broker.CallOption) error

// stop stops the crew and looks for what is left.
func (r *idleRun) stop() error {
	start := time.Now()
	err := r.crew.close()
	r.s.Stop = decimals(time.Since(start).Seconds())
	left, lookErr := children()
	r.s.Left = left
	return errors.Join(err, lookErr)
}

func (r *idleRun) note(format string, args ...any) {
	fmt.Fprintf(r.console.stderr, format+"\n", args...)
}

func (r *idleRun) print() error {
	text := r.console.stdout
	if r.json {
		text = r.console.stderr
	}
	r.s.writeText(text)
	if r.json {
		line, err := json.Marshal(r.s)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(r.console.stdout, "%s\n", line); err != nil {
			return err
		}
	}
	if r.s.Failed > 0 || r.s.Left > 0 {
		return &exitError{code: exitWrong}
	}
	return nil
}

// writeText prints the summary for people.
func (s *idleSummary) writeText(out io.Writer) {
	fmt.Fprintf(out, "%s: ready after %.1f s\n", plural(s.Workers, "worker", "workers"), s.Ready)
	fmt.Fprintf(out, "idle for %.1f s: %d threads, %.1f KiB resident for each worker, %.1f ms of CPU\n", s.Idle, s.Threads, float64(s.Resident)/1024, s.CPU)
	fmt.Fprintf(out, "%d calls on %s in %.1f s: %d failed; %d threads at the most\n", s.Calls, plural(s.Used, "worker", "workers"), s.CallsTook, s.Failed, s.ThreadsMax)
	fmt.Fprintf(out, "stopped in %.1f s, %s left\n", s.Stop, plural(s.Left, "child", "children"))
}
