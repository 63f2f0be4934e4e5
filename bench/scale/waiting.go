package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/broker"
)

// measureWaiting has callers wait for one worker that takes one call at a time.
func measureWaiting(s settings) ([]table, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	c, err := newCrew(ctx, broker.PoolOptions{Min: 1, Max: 1})
	cancel()
	if err != nil {
		return nil, err
	}
	t := table{Name: "waiting", What: "callers that wait for one worker; heap and stack of each are what it has more than a goroutine that waits for its context"}
	for _, n := range s.waiting {
		r, err := c.waitingRow(n, s.length)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%d waiting callers: %w", n, err), c.close())
		}
		t.Rows = append(t.Rows, r)
	}
	return []table{t}, c.close()
}

func (c *crew) waitingRow(n int, length time.Duration) (row, error) {
	r := row{Name: strconv.Itoa(n)}
	steps := []func(*row, int) error{c.wait, c.drain}
	if n == 0 {
		steps = nil // there is nobody to hold memory, to be canceled, or to be served in order
	}
	for _, step := range steps {
		if err := step(&r, n); err != nil {
			return r, err
		}
	}
	each, err := c.throughQueue(n, length)
	r.addTime("per call through the queue", each)
	return r, err
}

// wait measures n callers that wait and are then canceled, beside as many goroutines that only wait for their contexts.
func (c *crew) wait(r *row, n int) error {
	release, err := c.hold()
	if err != nil {
		return err
	}
	defer release()
	idle := newAssembly(n)
	for i := range n {
		idle.add(i, func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		})
	}
	idle.begun.Wait()
	parked := memoryNow()
	idleEnd, err := idle.disperse()
	if err != nil {
		return err
	}

	callers := newAssembly(n)
	joined, err := c.queueUp(callers, n, "mark")
	if err != nil {
		return err
	}
	queued := memoryNow()
	look := c.timeSnapshots()
	end, err := callers.disperse()
	if err != nil {
		return err
	}
	if left := c.Snapshot().Waiting; left > 0 {
		return fmt.Errorf("%d canceled callers still wait", left)
	}
	each := float64(n)
	r.add("heap of each", octets, (queued.heap-parked.heap)/each)
	r.add("stack of each", octets, (queued.stack-parked.stack)/each)
	r.addTime("join and be seen", joined/time.Duration(n))
	r.addTime("Snapshot", look)
	r.addTime("cancel each", end/time.Duration(n))
	r.addTime("cancel each, no call", idleEnd/time.Duration(n))
	return nil
}

// drain has n callers served, and asks the worker in which order they came.
func (c *crew) drain(r *row, n int) error {
	release, err := c.hold()
	if err != nil {
		return err
	}
	callers := newAssembly(n)
	if _, err := c.queueUp(callers, n, "mark"); err != nil {
		release()
		return err
	}
	begin := time.Now()
	release()
	if err := callers.wait(); err != nil {
		return err
	}
	took := time.Since(begin)
	var seen tour
	if err := c.Call(context.Background(), "seen", 0, &seen); err != nil {
		return err
	}
	if seen.Served != n || seen.Misplaced > 0 {
		return fmt.Errorf("of %d callers the worker saw %d, %d of them out of their order", n, seen.Served, seen.Misplaced)
	}
	r.addTime("serve each", took/time.Duration(n))
	r.add("out of order", count, float64(seen.Misplaced))
	return nil
}

// throughQueue returns the time per call while n callers wait all the time: whoever is served comes again, as the last.
func (c *crew) throughQueue(n int, length time.Duration) (time.Duration, error) {
	release, err := c.hold()
	if err != nil {
		return 0, err
	}
	var served atomic.Int64
	callers := newAssembly(n + 1) // one is at the worker
	for i := range n + 1 {
		echo := c.echo()
		callers.add(i, func(ctx context.Context, _ int) error {
			for {
				if err := echo(ctx); err != nil {
					return err
				}
				served.Add(1)
			}
		})
	}
	err = c.untilWaiting(n+1, callers.ctx)
	release()
	if err != nil {
		return 0, err
	}
	time.Sleep(length / gauge.Warmup)
	before, begin := served.Load(), time.Now()
	time.Sleep(length)
	calls, took := served.Load()-before, time.Since(begin)
	if _, err := callers.disperse(); err != nil {
		return 0, err
	}
	if calls == 0 {
		return 0, gauge.ErrStuck
	}
	return took / time.Duration(calls), nil
}

// hold keeps the worker busy until release is called, which waits for the end of the call, not for that of what the worker does.
func (c *crew) hold() (release func(), err error) {
	if err := c.untilBusy(0); err != nil { // with what was before
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var held sync.WaitGroup
	// Ends with ctx.
	held.Go(func() { _ = c.Call(ctx, "hold", 0, nil) })
	release = func() {
		cancel()
		held.Wait()
	}
	if err := c.untilBusy(1); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// untilBusy waits until the worker has so many calls.
func (c *crew) untilBusy(calls int) error {
	for limit := time.Now().Add(patience); c.Snapshot().Workers[0].InFlight != calls; runtime.Gosched() {
		if time.Now().After(limit) {
			return gauge.ErrStuck
		}
	}
	return nil
}

// queueUp has n callers join one after the other: each comes when a Snapshot has said that the one before it waits.
func (c *crew) queueUp(callers *assembly, n int, method string) (time.Duration, error) {
	begin := time.Now()
	for i := range n {
		callers.add(i, func(ctx context.Context, number int) error { return c.Call(ctx, method, number, nil) })
		if err := c.untilWaiting(i+1, callers.ctx); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

func (c *crew) untilWaiting(n int, callers context.Context) error {
	for limit := time.Now().Add(patience); c.Snapshot().Waiting < n; runtime.Gosched() {
		if callers.Err() != nil {
			return context.Cause(callers)
		}
		if time.Now().After(limit) {
			return gauge.ErrStuck
		}
	}
	return nil
}

// manySnapshots is how many are taken to learn what one costs.
const manySnapshots = 1000

// timeSnapshots returns the time of one.
func (c *crew) timeSnapshots() time.Duration {
	begin := time.Now()
	for range manySnapshots {
		c.Snapshot()
	}
	return time.Since(begin) / manySnapshots
}

// assembly is a number of goroutines, each with a context of its own, as callers in a server have.
type assembly struct {
	ctx    context.Context // the parent of all
	cancel context.CancelCauseFunc
	begun  sync.WaitGroup
	ended  sync.WaitGroup
}

// errDispersed is why the members of an assembly leave when they are told to.
var errDispersed = errors.New("told to leave")

func newAssembly(n int) *assembly {
	ctx, cancel := context.WithCancelCause(context.Background())
	a := &assembly{ctx: ctx, cancel: cancel}
	a.begun.Add(n)
	return a
}

// add has a goroutine do something. If it fails, all leave.
func (a *assembly) add(number int, do func(ctx context.Context, number int) error) {
	// Ends with do, which ends with the assembly.
	a.ended.Go(func() {
		ctx, cancel := context.WithCancel(a.ctx)
		defer cancel()
		a.begun.Done()
		if err := do(ctx, number); err != nil {
			a.cancel(err) // the first one counts
		}
	})
}

// wait waits until all have done what they had to.
func (a *assembly) wait() error {
	a.ended.Wait()
	return context.Cause(a.ctx)
}

// disperse has all leave, and returns how long that took.
func (a *assembly) disperse() (time.Duration, error) {
	a.begun.Wait()
	begin := time.Now()
	a.cancel(errDispersed)
	err := a.wait()
	took := time.Since(begin)
	if errors.Is(err, errDispersed) {
		err = nil
	}
	return took, err
}

// memory is what the program holds, in bytes.
type memory struct{ heap, stack float64 }

// memoryNow collects garbage first; the second collection frees what the first has left to the pools of the runtime and of package sync.
func memoryNow() memory {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{heap: float64(m.HeapAlloc), stack: float64(m.StackInuse)}
}
