package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/testworkers/handlers"
)

const (
	spareCallers = 2   // callers beyond what the crew takes, so that no worker waits for one
	maxFailures  = 100 // failed calls after which a run gives up
)

// newIndexCrew makes a crew of this program's workers of the kind self.
func newIndexCrew(self string, workers, inFlight int) (*crew, error) {
	return newCrew(indexCrew, broker.PoolOptions{
		Command:  broker.Self(self),
		Max:      workers,
		InFlight: inFlight,
		Queue:    workers*inFlight + spareCallers, // every caller may wait at once
	})
}

// indexRun is one execution of run. Its fields are set before the first pass;
// the counters alone change while passes run.
type indexRun struct {
	*session
	options runOptions
	count   counters
	before  atomic.Int64 // files looked at before this pass
	gaveUp  func()       // ends drain
}

// runIndex makes the passes, closes the crew and prints the summary.
func runIndex(o runOptions, c console, crew *crew, signals <-chan os.Signal, restore func()) error {
	r := &indexRun{options: o}
	r.session = newSession(c, crew, workflow{unit: "files", done: r.looked, finishing: "the files that are open"}, signals, restore)
	s, words, err := r.passes()
	if err := r.end(err); err != nil {
		return err
	}
	r.finish(&s)
	return r.print(&s, words)
}

// passes walks until time is over, or once. It returns the summary of what was
// counted, and the total of all words.
func (r *indexRun) passes() (summary, map[string]int, error) {
	drain, gaveUp := context.WithCancel(r.on.drain)
	defer gaveUp()
	r.gaveUp = gaveUp

	var total tally
	s := summary{verify: r.options.verify, Verified: r.options.verify}
	p := r.plan()
	start := time.Now()
	for drain.Err() == nil && (s.passes == 0 || time.Since(start) < r.options.duration) {
		s.passes++
		r.before.Store(r.count.looked())
		if r.console.terminal {
			r.progress.setTotal(countFiles(drain, r.options.root))
		}
		pass := newPass(p, s.passes)
		if err := pass.run(drain, r.on.force); err != nil {
			return s, nil, err
		}
		if r.options.verify {
			if verdict := pass.verdict(); verdict != "" {
				s.Verified = false
				r.fail(fmt.Errorf("pass %d is not equal to the count in process: %s", s.passes, verdict))
			}
		}
		total.add(pass.byWorkers.total())
		if r.count.files.Load() == 0 {
			r.progress.note("warning: no text file in %s", r.options.root)
			break
		}
	}
	s.Seconds = time.Since(start).Round(time.Millisecond).Seconds()
	s.Verified = s.Verified && s.passes > 0
	s.interrupted = r.on.drain.Err() != nil
	return s, total.total(), nil
}

func (r *indexRun) plan() plan {
	return plan{
		root:     r.options.root,
		index:    r.index,
		callers:  r.options.workers*r.options.inFlight + spareCallers,
		readers:  runtime.GOMAXPROCS(0),
		verify:   r.options.verify,
		ledger:   r.options.ledger,
		count:    &r.count,
		fileDone: r.crew.killer(r.options.killEvery, r.fail).done,
		warn:     r.warn,
		failed:   r.callFailed,
	}
}

// index has a worker index a piece. Indexing changes nothing, so a call whose worker
// is killed is made again by the broker.
func (r *indexRun) index(ctx context.Context, in handlers.IndexInput) (out handlers.IndexOutput, err error) {
	err = r.crew.pool.Call(ctx, "index", in, &out, broker.Idempotent())
	return out, err
}

// looked returns the files done with in this pass.
func (r *indexRun) looked() int64 { return r.count.looked() - r.before.Load() }

func (r *indexRun) warn(name string, err error) {
	r.report(r.count.unreadable.Add(1), "warning: left out %s: %v", name, err)
}

func (r *indexRun) callFailed(key string, err error) {
	if r.on.force.Err() != nil {
		return // it is we who ended it
	}
	n := r.count.failed.Add(1)
	r.report(n, "error: %s: %v", key, err)
	if n == maxFailures {
		r.progress.note("error: giving up after %d failed calls", n)
		r.gaveUp()
	}
}

// finish fills in what is known only when the crew has been closed.
func (r *indexRun) finish(s *summary) {
	s.Files = r.count.files.Load()
	s.Bytes = r.count.bytes.Load()
	s.Calls = r.count.calls.Load()
	s.failed = r.count.failed.Load()
	s.skipped = r.count.skipped.Load()
	s.unreadable = r.count.unreadable.Load()
	s.Errors = s.failed + r.other.Load()

	crew := r.crew.counts()
	s.Retries = crew.retries
	s.WorkersStarted = crew.started
	s.WorkersLost = crew.lost
}

func (r *indexRun) print(s *summary, words map[string]int) error {
	s.Words = sum(words)
	text := r.console.stdout
	if r.options.json {
		text = r.console.stderr
	}
	if err := s.writeText(text, top(words, topWords)); err != nil {
		return err
	}
	if r.options.json {
		if err := s.writeJSON(r.console.stdout); err != nil {
			return err
		}
	}
	switch {
	case s.interrupted:
		return &exitError{code: exitInterrupted}
	case s.Errors > 0:
		return &exitError{code: exitWrong}
	}
	return nil
}
