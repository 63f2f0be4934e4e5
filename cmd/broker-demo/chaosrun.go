package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// chaosRun is one execution of chaos.
type chaosRun struct {
	*session
	options chaosOptions
	stage   *stage
	thrower thrower
	calls   callLog // the load
	ledger  string
}

// runChaos warms up, throws the faults, closes the broker, looks for what is left and prints the verdict.
func runChaos(o chaosOptions, c console, signals <-chan os.Signal, restore func()) error {
	defer restore()
	directory, err := os.MkdirTemp("", "broker-demo-chaos-")
	if err != nil {
		return err
	}
	mark := fmt.Sprintf("BROKER_DEMO_CHAOS=%d/%s", os.Getpid(), filepath.Base(directory))
	v, err := chaosIn(directory, mark, o, c, signals, restore)
	if v == nil || len(v.problems) == 0 {
		err = errors.Join(err, os.RemoveAll(directory)) // otherwise it is evidence
	}
	if err != nil {
		return err
	}
	return v.print(c, o.json)
}

// chaosIn is runChaos with a directory for the ledger.
func chaosIn(directory, mark string, o chaosOptions, c console, signals <-chan os.Signal, restore func()) (*chaosVerdict, error) {
	before, err := warmUp(&o, mark)
	if err != nil {
		return nil, err
	}
	stage, err := newStage(&o, mark)
	if err != nil {
		return nil, err
	}
	r := &chaosRun{options: o, stage: stage, ledger: filepath.Join(directory, "ledger")}
	work := workflow{unit: "calls", done: r.done, finishing: "the faults and calls under way"}
	work.status = func() string { return c.cut(r.thrower.counts.status()) }
	r.session = newSession(c, stage.crew, work, signals, restore)
	r.calls.note, r.thrower.calls.note = r.note, r.note
	took := r.throw()
	interrupted := r.on.drain.Err() != nil
	if err := r.end(nil); err != nil {
		return nil, err
	}
	left, err := leftovers(mark, before)
	if err != nil {
		return nil, err
	}
	v := r.verdict(left)
	v.Duration, v.interrupted = decimals(took.Seconds()), interrupted
	return v, nil
}

// besideStatus is how many columns the display of a terminal writes beside the status.
const besideStatus = 40

// cut cuts a status where the terminal's line ends, so that the display stays in its line.
func (c console) cut(status string) string {
	if !c.terminal {
		return status
	}
	return status[:min(len(status), max(0, c.columns-besideStatus))]
}

// done returns how many calls have ended.
func (r *chaosRun) done() int64 { return r.calls.book.done() + r.thrower.calls.book.done() }

// note prints what is wrong with a call, unless it is we who ended it.
func (r *chaosRun) note(format string, args ...any) {
	if r.on.force.Err() == nil {
		r.report(r.calls.wrong()+r.thrower.calls.wrong(), format, args...)
	}
}

// throw keeps the crew under load while faults are thrown.
func (r *chaosRun) throw() time.Duration {
	o := &r.options
	r.progress.note("seed %d: the same faults come again with -seed %d", o.seed, o.seed)
	r.progress.setTotal(endless)
	start := time.Now()
	end := start.Add(o.duration)
	t := &r.thrower
	t.stage, t.workers, t.fail = r.stage, o.workers, r.failed
	t.victims = r.crew.killer(0, r.fail)
	load := &generator{
		callers:     o.callers,
		pace:        &closedLoop{end: end},
		closed:      true,
		end:         end,
		newExchange: func() exchange { return r.stage.load(r.ledger, &r.calls) },
		book:        &r.calls.book,
		latencies:   newLatencies(o.callers),
		failed:      func(error) {}, // the exchange has taken note of it
		ended:       func() {},
	}
	thrown := make(chan struct{})
	// Ends when the last fault is over, soon after the end.
	go func() {
		defer close(thrown)
		t.run(r.on.drain, r.on.force, newFaults(o.seed), end)
	}()
	load.run(r.on.drain, r.on.force)
	<-thrown
	return time.Since(start)
}

// verdict says what has become of everything.
func (r *chaosRun) verdict(left leaks) *chaosVerdict {
	v := &chaosVerdict{Seed: r.options.seed, FailedByClass: map[string]int64{}}
	thrown, survived := r.thrower.counts.counts()
	v.Faults, v.FaultsByKind, v.Survived, v.survived = sumOf(thrown), thrown, sumOf(survived), survived
	v.add(&r.calls)
	v.add(&r.thrower.calls)
	v.setLeaks(left)
	if a, err := auditLedger(r.ledger, &r.calls.book, mayRepeat); err != nil && !errors.Is(err, os.ErrNotExist) { // no call may have got through
		r.fail(err)
	} else if err == nil {
		v.addAudit(a, r.ledger)
	}
	var internal int64
	if v.WorkersStarted, v.WorkersLost, internal = r.stage.counts(); internal > 0 {
		r.fail(fmt.Errorf("the broker counts %s", plural(int(internal), "internal error", "internal errors")))
	}
	v.Errors += r.other.Load()
	return v
}
