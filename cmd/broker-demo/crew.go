package main

import (
	"fmt"
	"os"

	"github.com/stdcrew/stdcrew/broker"
)

// crew is the workers of a command, and the broker that keeps them.
type crew struct {
	broker *broker.Broker
	pool   *broker.Pool
	name   string // of the pool
}

// newCrew makes a crew under this name. Unless o says otherwise, no process starts before the first call.
func newCrew(name string, o broker.PoolOptions) (*crew, error) {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{name: o}})
	if err != nil {
		return nil, err
	}
	return &crew{broker: b, pool: b.Pool(name), name: name}, nil
}

// crewCounts is what has become of the workers and calls so far.
type crewCounts struct {
	started, lost int64 // processes
	retries       int64 // attempts beyond a call's first
}

func (c *crew) counts() crewCounts {
	s := c.pool.Snapshot()
	return crewCounts{
		started: int64(s.Counters.Started),
		lost:    int64(s.Counters.Deaths + s.Counters.BootFailures),
		retries: int64(s.Retries),
	}
}

// status says in a few words what has happened to the crew.
func (c *crew) status() string {
	n := c.counts()
	return fmt.Sprintf("%d retries, %d of %d workers lost", n.retries, n.lost, n.started)
}

// ready returns the process ids of the workers that take calls.
func (c *crew) ready() []int {
	var pids []int
	for _, w := range c.pool.Snapshot().Workers {
		if w.State == broker.StateReady && w.PID != 0 {
			pids = append(pids, w.PID)
		}
	}
	return pids
}

// killer returns one that kills every so many units of work.
func (c *crew) killer(every int, fail func(error)) *killer {
	return &killer{
		every: every,
		pids:  c.ready,
		kill:  func(pid int) (bool, error) { return killListed(pid, c.ready) },
		fail:  fail,
	}
}

// kill ends all workers that take calls, whatever they are doing.
func (c *crew) kill() {
	for _, pid := range c.ready() {
		if _, err := killListed(pid, c.ready); err != nil {
			fmt.Fprintf(os.Stderr, "broker-demo: %v\n", err) // close will deal with it
		}
	}
}

// close stops the workers and waits until they are gone. It reports what had to be forced.
func (c *crew) close() error {
	return c.broker.Close()
}
