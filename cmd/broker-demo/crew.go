package main

import (
	"context"
	"fmt"
	"os"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/testworkers/handlers"
)

// indexPool is the broker's name for the crew.
const indexPool = "index"

// crew is the workers of a run, and the broker that keeps them.
type crew struct {
	broker *broker.Broker
}

// newCrew makes a crew of this program's workers of the kind self. No process
// starts before the first call.
func newCrew(self string, workers, inFlight int) (*crew, error) {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
		indexPool: {
			Command:  broker.Self(self),
			Max:      workers,
			InFlight: inFlight,
			Queue:    workers*inFlight + spareCallers, // every caller may wait at once
		},
	}})
	if err != nil {
		return nil, err
	}
	return &crew{broker: b}, nil
}

// index has a worker index a piece. Indexing changes nothing, so a call whose worker
// is killed is made again by the broker.
func (c *crew) index(ctx context.Context, in handlers.IndexInput) (handlers.IndexOutput, error) {
	return broker.Call[handlers.IndexOutput](ctx, c.broker, indexPool+".index", in, broker.Idempotent())
}

// crewCounts is what has become of the workers and calls so far.
type crewCounts struct {
	started, lost int64 // processes
	retries       int64 // attempts beyond a call's first
}

func (c *crew) counts() crewCounts {
	s := c.broker.Snapshot().Pools[indexPool]
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
	for _, w := range c.broker.Snapshot().Pools[indexPool].Workers {
		if w.State == broker.StateReady && w.PID != 0 {
			pids = append(pids, w.PID)
		}
	}
	return pids
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
