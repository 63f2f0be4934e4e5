package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// crewOptions is what the flags say that commands with a crew have in common.
type crewOptions struct {
	workers   int
	inFlight  int
	killEvery int
	ledger    string
	json      bool
}

// register adds the flags to set; they are in o once set has parsed them. unit is what the command counts, in the plural.
func (o *crewOptions) register(set *flag.FlagSet, unit string) {
	set.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "run `N` workers; the default is one per CPU")
	set.IntVar(&o.inFlight, "inflight", 1, "give each worker up to `N` calls at a time")
	set.IntVar(&o.killEvery, "kill-every", 0, "send KILL to a random worker every `N` "+unit+"; 0 is never")
	set.StringVar(&o.ledger, "ledger", "", "have the workers append \"begin|end pass key pid\" to `FILE` for every call, in a ledger begun anew")
	set.BoolVar(&o.json, "json", false, "print one line of JSON to standard output, everything else to standard error")
}

// maxCallers bounds -workers × -inflight, and -callers: each call under way holds its payload.
const maxCallers = 4096

// wrongFunc takes note of something that is wrong with the command line, with its remedy.
type wrongFunc func(format string, args ...any)

// check reports all that is wrong.
func (o *crewOptions) check(unit string, wrong wrongFunc) {
	if o.workers < 1 {
		wrong("-workers %d: at least one is needed; leave the flag out for one per CPU", o.workers)
	}
	if o.inFlight < 1 {
		wrong("-inflight %d: a worker needs at least one call at a time; leave the flag out for one", o.inFlight)
	}
	if o.workers >= 1 && o.inFlight >= 1 && (o.workers > maxCallers || o.inFlight > maxCallers/o.workers) {
		wrong("-workers %d -inflight %d: more than %d calls at a time; lower one of them", o.workers, o.inFlight, maxCallers)
	}
	if o.killEvery < 0 {
		wrong("-kill-every %d: give the number of %s between two kills, or 0 for none", o.killEvery, unit)
	}
}

// beginLedger begins the ledger, if one is wanted.
func (o *crewOptions) beginLedger() (err error) {
	if o.ledger != "" {
		o.ledger, err = newLedger(o.ledger)
	}
	return err
}

// runOptions is what the flags of run say.
type runOptions struct {
	crewOptions
	root     string // directory or file; empty: the default
	duration time.Duration
	verify   bool
}

// register adds the flags to set; they are in o once set has parsed them.
func (o *runOptions) register(set *flag.FlagSet) {
	o.crewOptions.register(set, "files")
	set.DurationVar(&o.duration, "for", 0, "walk again and again until `D` is over, such as 30s; a walk under way is finished")
	set.BoolVar(&o.verify, "verify", false, "count in process, too; every walk must be equal")
}

// complete takes the arguments that are left after the flags, and returns all
// that is wrong with both, each named with its remedy.
func (o *runOptions) complete(args []string) error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	switch {
	case len(args) == 1:
		o.root = args[0]
	case len(args) > 1 && strings.HasPrefix(args[1], "-"):
		wrong("%s: flags go before the directory: broker-demo run %s %s", args[1], strings.Join(args[1:], " "), args[0])
	case len(args) > 1:
		wrong("%d directories: name one, or none for the sources of Go", len(args))
	}
	o.check("files", wrong)
	if o.duration < 0 {
		wrong("-for %v: give a duration such as 30s, or leave the flag out for one walk", o.duration)
	}
	return errors.Join(problems...)
}

// prepare is complete, then fills in the default directory and begins the ledger.
func (o *runOptions) prepare(ctx context.Context, args []string) error {
	if err := o.complete(args); err != nil {
		return err
	}
	if o.root == "" {
		o.root = defaultRoot(ctx)
	}
	return o.beginLedger()
}
