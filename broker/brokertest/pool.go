package brokertest

import (
	"sync"
	"testing"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/process"
)

// Pool is one of a broker's pools, the real one, with faults for its workers. All methods may be called at any moment; those that take a [Fault]
// on the test's own goroutine, for a fault that cannot happen there ends the test.
type Pool struct {
	*broker.Pool

	t      testing.TB
	name   string
	crew   Crew
	script script

	mu      sync.Mutex
	workers map[*memoryWorker]struct{} // those of which something is left
}

// Next has the next n calls of a method that reach a worker meet with a fault, before a handler sees them. With a negative n all further ones do,
// until Reset; with an empty method those of any method. What has been said before comes first, so that several Next make a sequence.
//
// What counts is what reaches a worker: a call that the broker repeats counts again. Only [Interrupted] with NotSent stays with its call.
func (p *Pool) Next(method string, n int, f Fault) {
	p.t.Helper()
	p.check(f, f.kind.hitsCalls(), "a call")
	p.script.addCall(rule{method: method, left: n, fault: f})
}

// NextStart has the next n workers meet with a fault while they start; with a negative n all further ones, until Reset. [Exit], [Killed] and
// [Freeze] come before the hello, so does [Hang]: the worker says nothing. With [Answer] the worker itself says that it cannot start.
// What [Garbage] prints is skipped, as noise before the hello is.
func (p *Pool) NextStart(n int, f Fault) {
	p.t.Helper()
	p.check(f, f.kind.hitsStarts(), "a start")
	p.script.addStart(rule{left: n, fault: f})
}

// Now has all workers that are ready meet with a fault at once, in the middle of a call or idle, and returns how many they are. It can be [Exit],
// [Killed], [Freeze], [Garbage] or [Goodbye]. The broker notices a moment later; in a bubble synctest.Wait waits for that.
func (p *Pool) Now(f Fault) int {
	p.t.Helper()
	p.check(f, f.kind.hitsWorkers(), "a worker that is ready")
	n := 0
	for _, w := range p.living() {
		if !w.isReady() {
			continue
		}
		w.suffer(f)
		n++
	}
	return n
}

// Reset forgets the faults that have not happened. Workers that are frozen and calls that hang stay so.
func (p *Pool) Reset() { p.script.reset() }

func (p *Pool) check(f Fault, can bool, where string) {
	p.t.Helper()
	if !can {
		p.t.Fatalf("brokertest: pool %s: %v cannot happen to %s", p.name, f, where)
	}
}

// start is the pool's Options.Start.
func (p *Pool) start(_ process.Command, o process.Options) (*process.Process, error) {
	w := newMemoryWorker(p)
	p.mu.Lock()
	p.workers[w] = struct{}{}
	p.mu.Unlock()
	w.proc = process.StartFunc(w.run, o)
	close(w.launched)
	return w.proc, nil
}

// ended is called when nothing is left of a worker.
func (p *Pool) ended(w *memoryWorker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.workers, w)
}

// living returns the workers of which something is left.
func (p *Pool) living() []*memoryWorker {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*memoryWorker, 0, len(p.workers))
	for w := range p.workers {
		all = append(all, w)
	}
	return all
}

func (p *Pool) killFrozen() {
	for _, w := range p.living() {
		if w.isFrozen() {
			w.kill(process.KILL)
		}
	}
}
