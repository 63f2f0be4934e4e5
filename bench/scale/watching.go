package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/broker"
)

// lookEvery is how often somebody takes a Snapshot, where somebody does.
const lookEvery = 10 * time.Millisecond

// watchedWorkers are the sizes of the pools that are looked at, unless the largest of -workers is less.
var watchedWorkers = []int{1, 100, 1000}

// measureSnapshots has one pool grow, and takes Snapshots of it.
func measureSnapshots(s settings) (tables []table, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := newCrew(ctx, broker.PoolOptions{Max: 1})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	t := table{Name: "snapshots", What: fmt.Sprintf("a Snapshot of a pool with so many workers; one caller while somebody takes one every %v, beside the same without", lookEvery)}
	tooMany := func(n int) bool { return n > slices.Max(s.workers) }
	sizes := slices.DeleteFunc(slices.Clone(watchedWorkers), tooMany)
	t.Rows, err = c.grow(ctx, sizes, func(n int) (row, error) { return c.snapshotRow(n, s) })
	return []table{t}, err
}

func (c *crew) snapshotRow(n int, s settings) (row, error) {
	r := row{Name: strconv.Itoa(n)}
	time.Sleep(settle)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r.addTime("Snapshot", c.timeSnapshots())
	runtime.ReadMemStats(&after)
	r.add("allocations", fraction, float64(after.Mallocs-before.Mallocs)/manySnapshots)
	r.add("bytes", octets, float64(after.TotalAlloc-before.TotalAlloc)/manySnapshots)

	loop := newClosedLoop(c.pids(), c.echo())
	watched, alone, err := inTurns(s.rounds, func() (gauge.Figures, error) {
		stop := c.watchQueue(lookEvery, func() int { return 0 })
		defer stop()
		return gauge.Round(loop, s.length)
	}, func() (gauge.Figures, error) { return gauge.Round(loop, s.length) })
	if err != nil {
		return r, err
	}
	r.addComparison(watched, alone)
	return r, nil
}

// subscribers are how many somebodies listen to a pool's events.
var subscribers = []int{0, 1, 10, 100}

// measureEvents has so many listen. A change is a Resize to and fro of a pool that has one worker and keeps it: one event and no process.
func measureEvents(s settings) (tables []table, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := newCrew(ctx, broker.PoolOptions{Min: 1, Max: 1})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	t := table{Name: "events", What: "so many subscribers: one caller, beside the same without any; then a change of the pool, which is an event for each"}
	loop := newClosedLoop(c.pids(), c.echo())
	for _, n := range subscribers {
		r := row{Name: strconv.Itoa(n)}
		heard, alone, err := inTurns(s.rounds, func() (gauge.Figures, error) {
			defer c.listen(n)()
			return gauge.Round(loop, s.length)
		}, func() (gauge.Figures, error) { return gauge.Round(loop, s.length) })
		if err != nil {
			return nil, err
		}
		r.addComparison(heard, alone)
		if err := c.addChanges(&r, n, s.rounds); err != nil {
			return nil, err
		}
		t.Rows = append(t.Rows, r)
	}
	return []table{t}, nil
}

// listen has n goroutines read all events until stop is called.
func (c *crew) listen(n int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var listeners sync.WaitGroup
	for range n {
		events := c.Events(ctx)
		// Ends with ctx.
		listeners.Go(func() {
			for range events {
			}
		})
	}
	return func() {
		cancel()
		listeners.Wait()
	}
}

// addChanges measures changes of the pool that are told to n subscribers, in turns with changes that are told to nobody.
func (c *crew) addChanges(r *row, n, rounds int) error {
	told, untold, err := inTurns(rounds, func() (gauge.Figures, error) {
		defer c.listen(n)()
		return c.changes()
	}, c.changes)
	if err != nil {
		return err
	}
	f, _ := gauge.Conclude(told, untold)
	r.addTime("change, p50", f.P50)
	if n > 0 {
		more := make([]float64, rounds)
		for i := range more {
			more[i] = float64(told[i].P50-untold[i].P50) / float64(n)
		}
		r.addRounds("for each subscriber", nanos, more)
	}
	return nil
}

// changes makes many changes, and returns what one takes.
func (c *crew) changes() (gauge.Figures, error) {
	const many = 2000
	all := make([]time.Duration, many)
	for i := range all {
		begin := time.Now()
		if err := c.Resize(context.Background(), 1, 1+i%2); err != nil {
			return gauge.Figures{}, err
		}
		all[i] = time.Since(begin)
	}
	return gauge.Summarize(all, 0), c.Resize(context.Background(), 1, 1)
}
