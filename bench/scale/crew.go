package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/worker"
)

const crewPool = "crew"

// workers is what the program is when the broker has started it.
var workers = map[string]func(*worker.Worker){crewPool: serve}

// serve is the worker: it echoes, keeps busy, and takes note of the order in which calls come.
func serve(w *worker.Worker) {
	var seen tour
	worker.Handle(w, "echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	worker.Handle(w, "hold", func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, nil
	})
	worker.Handle(w, "mark", func(_ context.Context, number int) (int, error) {
		seen.add(number)
		return number, nil
	})
	worker.Handle(w, "seen", func(context.Context, int) (tour, error) {
		was := seen
		seen = tour{}
		return was, nil
	})
}

// tour is what a worker saw of calls that are numbered from 0 in the order in which they should come.
type tour struct {
	Served    int `msgpack:"served"`
	Misplaced int `msgpack:"misplaced"` // those that did not come right after the number before theirs
	next      int
}

func (t *tour) add(number int) {
	t.Served++
	if number != t.next {
		t.Misplaced++
	}
	t.next = number + 1
}

const (
	// payload is how many bytes a call has there and back.
	payload = 64
	// patience is how long anything may take before the run is given up. A thousand workers that start take seconds.
	patience = 3 * time.Minute
	// deepest is the longest queue that a pool is given.
	deepest = 1_000_000
)

// crew is a broker with one pool of the program's own workers.
type crew struct {
	*broker.Pool
	broker *broker.Broker
}

// newCrew returns a pool that has its Min workers ready. What is not said in o is set so that the pool stays as it is.
func newCrew(ctx context.Context, o broker.PoolOptions) (*crew, error) {
	c, err := openCrew(o)
	if err != nil {
		return nil, err
	}
	if err := c.Ready(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// openCrew does not wait for the workers.
func openCrew(o broker.PoolOptions) (*crew, error) {
	o.Command = broker.Self(crewPool)
	o.IdleTimeout = -1
	o.InFlight = max(o.InFlight, 1)
	o.Queue = deepest
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{crewPool: o}})
	if err != nil {
		return nil, err
	}
	return &crew{Pool: b.Pool(crewPool), broker: b}, nil
}

// resize has the pool keep exactly n workers, and waits for them.
func (c *crew) resize(ctx context.Context, n int) error {
	if err := c.Resize(ctx, n, n); err != nil {
		return err
	}
	return c.Ready(ctx)
}

// grow has the pool keep each of so many workers, one number after the other, and returns a row of each.
func (c *crew) grow(ctx context.Context, sizes []int, measure func(n int) (row, error)) (rows []row, err error) {
	for _, n := range sizes {
		var r row
		if err = c.resize(ctx, n); err == nil {
			r, err = measure(n)
		}
		if err != nil {
			return nil, fmt.Errorf("%d workers: %w", n, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (c *crew) close() error {
	if err := c.broker.Close(); err != nil {
		return fmt.Errorf("close the broker: %w", err)
	}
	return nil
}

func (c *crew) pids() (ids []int) {
	for _, w := range c.Snapshot().Workers {
		if w.PID != 0 {
			ids = append(ids, w.PID)
		}
	}
	return ids
}

// cpu returns the CPU time that the host and these processes have used.
func cpu(workers []int) (time.Duration, error) {
	return gauge.CPUTime(append([]int{os.Getpid()}, workers...)...)
}

// newClosedLoop has these callers call workers that stay the same.
func newClosedLoop(pids []int, callers ...gauge.Call) *gauge.ClosedLoop {
	return &gauge.ClosedLoop{Callers: callers, PIDs: func() []int { return pids }, Patience: patience}
}

// echo returns a call that any worker of the pool answers.
func (c *crew) echo() gauge.Call { return echoBy(c.Pool) }

// echoBy returns a call by whatever makes calls: a pool, or a lease of one of its workers.
func echoBy(by interface {
	Call(ctx context.Context, method string, in, out any, opts ...broker.CallOption) error
}) gauge.Call {
	sent := make([]byte, payload)
	return func(ctx context.Context) error {
		var got []byte
		if err := by.Call(ctx, "echo", sent, &got); err != nil {
			return err
		}
		if len(got) != len(sent) {
			return fmt.Errorf("sent %d bytes and got %d back", len(sent), len(got))
		}
		return nil
	}
}

// leaseAll takes a lease of each of the n workers, which must take one call at a time, and returns a call by each.
func (c *crew) leaseAll(ctx context.Context, n int) (calls []gauge.Call, release func(), err error) {
	var leases []*broker.Lease
	release = func() {
		for _, l := range leases {
			l.Release()
		}
	}
	for range n {
		l, err := c.Acquire(ctx)
		if err != nil {
			release()
			return nil, nil, err
		}
		leases = append(leases, l)
		calls = append(calls, echoBy(l))
	}
	return calls, release, nil
}

// around returns a call that goes to one after the other; one caller may use it.
func around(calls []gauge.Call) gauge.Call {
	next := -1
	return func(ctx context.Context) error {
		next = (next + 1) % len(calls)
		return calls[next](ctx)
	}
}
