package main

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/stdcrew/stdcrew/broker"
)

// usage is what a process holds.
type usage struct {
	resident     float64 // bytes, those that it shares with others too
	proportional float64 // the same, where what n processes share counts 1/n for each
	threads      float64
	descriptors  float64
}

// sampled is how many of the workers are looked at.
const sampled = 32

// settle is how long workers are left alone until they count as idle: a connection's last reader goes after some milliseconds.
const settle = 200 * time.Millisecond

// measureMemory has one pool grow from nothing, and looks at what host and workers hold while nobody calls.
func measureMemory(s settings) (tables []table, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := newCrew(ctx, broker.PoolOptions{Max: 1})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	empty, err := holdings()
	if err != nil {
		return nil, err
	}
	t := table{Name: "memory", What: "idle workers: what the host has of each, beside a pool without any, and what a worker has"}
	t.Rows, err = c.grow(ctx, s.workers, func(n int) (row, error) { return c.memoryRow(n, empty) })
	return []table{t}, err
}

// hosting is what this process holds.
type hosting struct {
	usage
	memory
	goroutines float64
}

func holdings() (h hosting, err error) {
	time.Sleep(settle)
	h.memory = memoryNow()
	h.goroutines = float64(runtime.NumGoroutine())
	h.usage, err = usageOf(os.Getpid())
	return h, err
}

func (c *crew) memoryRow(n int, empty hosting) (row, error) {
	r := row{Name: strconv.Itoa(n)}
	now, err := holdings()
	if err != nil {
		return r, err
	}
	each := float64(n)
	r.add("host: heap", octets, (now.heap-empty.heap)/each)
	r.add("stacks", octets, (now.stack-empty.stack)/each)
	r.add("goroutines", fraction, (now.goroutines-empty.goroutines)/each)
	if now.resident == 0 {
		return r, nil // what the system does not tell
	}
	r.add("resident", octets, (now.resident-empty.resident)/each)
	r.add("threads", fraction, (now.threads-empty.threads)/each)
	r.add("descriptors", fraction, (now.descriptors-empty.descriptors)/each)
	of, err := meanUsage(c.pids())
	r.add("worker: resident", octets, of.resident)
	r.add("proportional", octets, of.proportional)
	r.add("its threads", fraction, of.threads)
	r.add("its descriptors", fraction, of.descriptors)
	return r, err
}

// meanUsage looks at some of the processes, evenly spread.
func meanUsage(pids []int) (sum usage, err error) {
	step := max(1, len(pids)/sampled)
	var n float64
	for i := 0; i < len(pids); i += step {
		u, err := usageOf(pids[i])
		if err != nil {
			return usage{}, err
		}
		sum.resident += u.resident
		sum.proportional += u.proportional
		sum.threads += u.threads
		sum.descriptors += u.descriptors
		n++
	}
	return usage{sum.resident / n, sum.proportional / n, sum.threads / n, sum.descriptors / n}, nil
}
