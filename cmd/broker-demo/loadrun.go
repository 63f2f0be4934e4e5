package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stdcrew/stdcrew/broker"
)

// interruptedClass is the class of calls whose worker was lost.
var interruptedClass = broker.ClassInterrupted.String()

// noWorker is the remedy for a command that does not become ready.
const noWorker = "is %q a worker program? It is started without a shell, and must say hello on its standard output as docs/protocol.md has it, " +
	"which package worker does"

// loadRun is one execution of load. What does not guard itself is set before the first call.
type loadRun struct {
	*session
	options   loadOptions
	book      book
	latencies *latencies
	failures  failures
	reloads   int64
	gaveUp    func() // ends drain
}

// runLoad makes the calls, closes the crew, reads the ledger and prints the summary.
func runLoad(o loadOptions, c console, crew *crew, signals <-chan os.Signal, restore func()) error {
	r := &loadRun{options: o, latencies: newLatencies(o.callers)}
	r.session = newSession(c, crew, workflow{unit: "calls", done: r.book.done, finishing: "the calls under way"}, signals, restore)
	drain, gaveUp := context.WithCancel(r.on.drain)
	defer gaveUp()
	r.gaveUp = gaveUp

	var s loadSummary
	err := r.ready(drain)
	cpu := startCPU(crew.ready())
	if err == nil {
		s = r.load(drain)
	}
	s.interrupted = r.on.drain.Err() != nil
	if err := r.end(err); err != nil {
		return err
	}
	if host, workers, ok := cpu.stop(); ok {
		s.setCPU(host, workers)
	}
	r.finish(&s)
	return r.print(&s)
}

// ready waits for the workers. That the user does not want to wait any longer is no error.
func (r *loadRun) ready(drain context.Context) error {
	err := r.crew.broker.Ready(drain)
	if err == nil || drain.Err() != nil {
		return nil
	}
	var exit broker.Exit
	if errors.As(err, &exit) && exit.Report.StderrTail != "" {
		err = fmt.Errorf("%w; stderr: %s", err, exit.Report.StderrTail)
	}
	if len(r.options.command) == 0 {
		return err
	}
	return fmt.Errorf("%w\n"+noWorker, err, r.options.command)
}

// load makes the calls and returns what is known when the last has ended.
func (r *loadRun) load(drain context.Context) loadSummary {
	o := &r.options
	start := time.Now()
	g := &generator{
		callers:     o.callers,
		closed:      o.rate == 0,
		end:         start.Add(o.duration),
		newExchange: exchanges(o, r.crew.pool),
		book:        &r.book,
		latencies:   r.latencies,
		failed:      r.callFailed,
		ended:       r.crew.killer(o.killEvery, r.fail).done,
	}
	if g.closed {
		g.pace = &closedLoop{end: g.end}
		r.progress.setTotal(endless)
	} else {
		loop := newOpenLoop(start, o.rate, o.duration)
		g.pace = loop
		r.progress.setTotal(loop.calls)
	}
	stopReloads := r.reloadEvery(o.reload)
	g.run(drain, r.on.force)
	took := time.Since(start)
	stopReloads()
	begun, ended, duplicated := r.book.totals()
	s := loadSummary{Calls: ended, Lost: begun - ended, Duplicated: duplicated, load: o.describe(), unmade: max(0, g.pace.due()-begun)}
	if !g.closed {
		s.behind = took - o.duration
	}
	s.setTimes(r.latencies.total(), took)
	return s
}

// describe says in a few words how calls are made.
func (o *loadOptions) describe() string {
	loop := "closed loop"
	if o.rate > 0 {
		loop = fmt.Sprintf("open loop of %g/s", o.rate)
	}
	return fmt.Sprintf("%s, %s, %s", loop, plural(o.callers, "caller", "callers"), plural(o.workers, "worker", "workers"))
}

// callFailed counts an error. One that all calls will have ends the load.
func (r *loadRun) callFailed(err error) {
	if r.on.force.Err() != nil {
		return // it is we who ended it
	}
	if r.failures.add(err) {
		r.progress.note("error: %v (further ones of class %s are counted but not printed)", err, classOf(err))
	}
	if classOf(err) == broker.ClassCaller.String() {
		r.gaveUp()
	}
}

// finish fills in what is known only when the crew has been closed.
func (r *loadRun) finish(s *loadSummary) {
	s.Errors, s.NotSent, s.Unknown = r.failures.counts()
	counts := r.crew.counts()
	s.WorkersStarted, s.WorkersLost, s.retries = counts.started, counts.lost, counts.retries
	s.tolerated = r.options.killEvery > 0
	if r.options.ledger != "" {
		ledger, err := auditLedger(r.options.ledger, &r.book, func(int64) bool { return r.options.idempotent })
		if err != nil {
			r.fail(err)
		} else {
			s.ledger = ledger
			s.Duplicated += ledger.duplicated
		}
	}
	s.other, s.Reloads = r.other.Load(), r.reloads
}

func (r *loadRun) print(s *loadSummary) error {
	text := r.console.stdout
	if r.options.json {
		text = r.console.stderr
	}
	if err := s.writeText(text); err != nil {
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
	case s.wrong():
		return &exitError{code: exitWrong}
	}
	return nil
}
