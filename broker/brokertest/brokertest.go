package brokertest

import (
	"context"
	"testing"
	"time"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/worker"
)

// Pools are the crews of a broker, by the name that calls use.
type Pools map[string]Crew

// Crew is what stands for the worker program of one pool.
type Crew struct {
	// Handlers registers the methods, with [Handle] or worker.Handle. It is called once for each worker that starts, by several goroutines
	// at once: variables of its own are a worker's memory, what it shares with other workers needs a lock. It must not be nil.
	Handlers func(*Worker)

	// Options are the pool's, such as those of the program under test. Command may be empty, for nothing is run; Start and Dialect must be nil.
	Options broker.PoolOptions

	// Worker are the options with which each worker is made. If InFlight is zero, the worker takes as many calls at a time as Options.InFlight
	// says, as a worker made by worker.Main does. The zero value works.
	Worker worker.Options
}

// Worker is a set of handlers. It is the type of package worker, which need not be imported for a test.
type Worker = worker.Worker

// Handle has calls of that method answered by f, as worker.Handle has it.
func Handle[In, Out any](w *Worker, method string, f func(ctx context.Context, in In) (Out, error)) {
	worker.Handle(w, method, f)
}

// Broker is a broker whose workers run in the test's own process. The embedded one is for the code under test; it is a real one.
type Broker struct {
	*broker.Broker

	t     testing.TB
	pools map[string]*Pool
}

// New makes a broker with these pools. When the test is over it closes the broker, and fails the test if a handler is then still running. Options
// that make no sense end the test.
//
// In a testing/synctest bubble New must be called in the bubble, with the bubble's t.
func New(t testing.TB, pools Pools) *Broker {
	t.Helper()
	b := &Broker{t: t, pools: make(map[string]*Pool, len(pools))}
	options := make(map[string]broker.PoolOptions, len(pools))
	for name, crew := range pools {
		if problem := crew.problem(); problem != "" {
			t.Fatalf("brokertest: pool %s: %s", name, problem)
		}
		p := &Pool{t: t, name: name, crew: crew, workers: make(map[*memoryWorker]struct{})}
		o := crew.Options
		o.Start = p.start
		b.pools[name], options[name] = p, o
	}
	var err error
	if b.Broker, err = broker.New(broker.Options{Pools: options}); err != nil {
		t.Fatalf("brokertest: %v", err)
	}
	for name, p := range b.pools {
		p.Pool = b.Broker.Pool(name)
	}
	t.Cleanup(b.end)
	return b
}

func (c *Crew) problem() string {
	switch {
	case c.Handlers == nil:
		return "Handlers is nil; give the function that registers the methods"
	case c.Options.Start != nil:
		return "Options.Start is set; it is what this package provides"
	case c.Options.Dialect != nil:
		return "Options.Dialect is set; the workers here speak the protocol of package worker"
	}
	return ""
}

// Pool returns the pool of that name. One that the broker does not have ends the test.
func (b *Broker) Pool(name string) *Pool {
	b.t.Helper()
	p := b.pools[name]
	if p == nil {
		b.t.Fatalf("brokertest: there is no pool %q", name)
	}
	return p
}

// patience is how long handlers may go on after the broker has been closed and their contexts have ended.
const patience = 10 * time.Second

// end closes the broker and waits for all that ran in its workers. Workers that are frozen would only cost the time of the ladder.
func (b *Broker) end() {
	b.t.Helper()
	for _, p := range b.pools {
		p.killFrozen()
	}
	if err := b.Close(); err != nil {
		b.t.Logf("brokertest: close: %v", err)
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for name, p := range b.pools {
		for _, w := range p.living() {
			select {
			case <-w.over:
			case <-deadline.C:
				b.t.Errorf("brokertest: pool %s: %v after the broker was closed a handler still runs; handlers must heed their contexts", name, patience)
				return
			}
		}
	}
}
