package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

const (
	chaosWorkers    = 4   // of the crew, by default
	maxChaosWorkers = 256 // of the crew: each is a process
)

// chaosOptions is what the flags of chaos say.
type chaosOptions struct {
	duration         time.Duration
	seed             uint64
	callers, workers int
	json             bool
}

// register adds the flags to set; they are in o once set has parsed them.
func (o *chaosOptions) register(set *flag.FlagSet) {
	set.DurationVar(&o.duration, "duration", time.Minute, "throw faults for `D`, such as 10m")
	set.Uint64Var(&o.seed, "seed", 0, "throw the sequence of faults that `N` stands for; 0 draws one and says which")
	set.IntVar(&o.workers, "workers", chaosWorkers, "have up to `N` workers under load")
	set.IntVar(&o.callers, "callers", 0, "make up to `N` calls to them at a time; the default is four for each worker")
	set.BoolVar(&o.json, "json", false, "print one line of JSON to standard output, everything else to standard error")
}

// complete takes the arguments that are left after the flags, and returns all that is wrong with both, each named with its remedy.
func (o *chaosOptions) complete(args []string) error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if len(args) > 0 {
		wrong("%q: chaos takes no arguments; leave them out", args)
	}
	if o.duration <= 0 || o.duration > maxLoad {
		wrong("-duration %v: give a duration such as 30s, up to %v", o.duration, maxLoad)
	}
	if o.workers < 1 || o.workers > maxChaosWorkers {
		wrong("-workers %d: give a number from 1 to %d, or leave the flag out for %d", o.workers, maxChaosWorkers, chaosWorkers)
	}
	if o.callers < 0 || o.callers > maxCallers {
		wrong("-callers %d: give a number from 1 to %d, or leave the flag out for four for each worker", o.callers, maxCallers)
	}
	if runtime.GOOS != "linux" {
		wrong("chaos freezes workers, and counts in /proc what is left of them: %w on %s; run it on Linux", errors.ErrUnsupported, runtime.GOOS)
	}
	if o.callers == 0 {
		o.callers = chaosInFlight * 2 * o.workers
	}
	for o.seed == 0 {
		o.seed = uint64(rand.Uint32()) // short, and exact as a number of JSON everywhere
	}
	return errors.Join(problems...)
}
