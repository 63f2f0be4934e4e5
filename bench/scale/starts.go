package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/broker"
)

// Ways to want n workers at once.
const (
	byMin     = "Min"
	byCallers = "callers"
)

// startCalls is how many calls a second another pool has during a storm: enough to see what it does to them, and next to no work.
const startCalls = 1000

// measureStarts has a pool start n workers at once, while another one answers a call every millisecond.
func measureStarts(s settings) ([]table, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	neighbor, err := newCrew(ctx, broker.PoolOptions{Min: 1, Max: 1})
	if err != nil {
		return nil, err
	}
	tables := []table{
		{Name: "starts, " + byMin, What: "a new pool with so many workers, until all are ready"},
		{Name: "starts, " + byCallers, What: "an empty pool and so many callers who keep a worker each, until all have had an answer"},
	}
	for i, way := range []string{byMin, byCallers} {
		for _, n := range s.starts {
			r, err := startsRow(way, n, neighbor, s)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("%s, %d workers: %w", way, n, err), neighbor.close())
			}
			tables[i].Rows = append(tables[i].Rows, r)
		}
	}
	return tables, neighbor.close()
}

func startsRow(way string, n int, neighbor *crew, s settings) (row, error) {
	var rounds []storm
	for range s.rounds {
		one, err := neighbor.endure(way, n, s.length)
		if err != nil {
			return row{}, err
		}
		rounds = append(rounds, one)
	}
	r := row{Name: fmt.Sprint(n)}
	median := func(name string, field func(storm) time.Duration) { r.addTime(name, gauge.MedianOf(rounds, field)) }
	each := time.Duration(n)
	median("all ready", func(s storm) time.Duration { return s.ready })
	median("each", func(s storm) time.Duration { return s.ready / each })
	median("CPU each", func(s storm) time.Duration { return s.cpu / each })
	median("all gone", func(s storm) time.Duration { return s.gone })
	median("a neighbor's call before, p50", func(s storm) time.Duration { return s.before.quantile(0.5) })
	median("p99", func(s storm) time.Duration { return s.before.quantile(0.99) })
	median("meanwhile, p50", func(s storm) time.Duration { return s.meanwhile.quantile(0.5) })
	median("meanwhile, p99", func(s storm) time.Duration { return s.meanwhile.quantile(0.99) })
	return r, nil
}

// storm is one start of many workers.
type storm struct {
	ready             time.Duration // from the wish to when all were ready
	cpu               time.Duration // of the host and the workers until then
	gone              time.Duration // from Close to its end
	before, meanwhile *histogram    // calls to the neighbor
}

// endure measures a storm and its effect on c, a pool of another broker in the same process.
func (c *crew) endure(way string, n int, length time.Duration) (s storm, err error) {
	quiet := c.callsEvery(time.Second / startCalls)
	time.Sleep(length)
	if s.before, err = quiet(); err != nil {
		return s, err
	}
	before, err := cpu(nil)
	if err != nil {
		return s, err
	}
	calls := c.callsEvery(time.Second / startCalls)
	begin := time.Now()
	crew, err := want(way, n)
	s.ready = time.Since(begin)
	var e error
	s.meanwhile, e = calls()
	if err = errors.Join(err, e); err != nil {
		return s, err
	}
	after, err := cpu(crew.pids())
	s.cpu = after - before
	begin = time.Now()
	err = errors.Join(err, crew.close())
	s.gone = time.Since(begin)
	return s, err
}

// want returns a crew when all its workers are ready.
func want(way string, n int) (*crew, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if way == byMin {
		return newCrew(ctx, broker.PoolOptions{Min: n, Max: n})
	}
	c, err := openCrew(broker.PoolOptions{Max: n})
	if err != nil {
		return nil, err
	}
	if err := c.answerAll(ctx, n); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// answerAll has n callers come at once. Each keeps its worker until all have had an answer.
func (c *crew) answerAll(ctx context.Context, n int) error {
	leases, errs := make([]*broker.Lease, n), make([]error, n)
	var callers sync.WaitGroup
	for i := range n {
		// Ends when a worker has answered it, or with ctx.
		callers.Go(func() {
			if leases[i], errs[i] = c.Acquire(ctx); errs[i] == nil {
				errs[i] = echoBy(leases[i])(ctx)
			}
		})
	}
	callers.Wait()
	for _, l := range leases {
		if l != nil {
			l.Release()
		}
	}
	return errors.Join(errs...)
}

// neighbors make the calls of callsEvery: as many may be under way when some are slow.
const neighbors = 256

// callsEvery has a call made so often until stop is called, which returns how long they took.
func (c *crew) callsEvery(gap time.Duration) (stop func() (*histogram, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	loop := &openLoop{call: c.echo(), callers: neighbors, gap: evenly(gap)}
	var running sync.WaitGroup
	// Ends when stop is called.
	running.Go(func() { loop.run(ctx, patience) })
	return func() (*histogram, error) {
		cancel()
		running.Wait()
		return &loop.latency, loop.outcome()
	}
}
