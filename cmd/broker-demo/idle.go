package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"
)

const idleHelp = `  Shows what a large crew costs that has nothing to do. It starts the workers, each the echo
  of this program, measures this process while they are idle, makes some calls that use each
  of them, and stops them.

  Memory is what this process has resident, as the system counts it, each time after garbage
  was collected and given back: with all workers idle, less what it was before the first was
  started, divided by their number. Threads and CPU time are this process's, too. At the end
  it looks for children that are left, in the system's own table of processes.

  -json ends with a line of JSON: workers ready_s threads threads_max (at any time)
  resident_bytes_per_worker cpu_ms (while idle) idle_s calls calls_failed workers_used calls_s
  stop_s left.

  Ctrl-C stops the workers and ends the command (exit code 130). Exit code 1 means that a call
  failed, that workers had to be forced to stop, or that something was left.`

// idleOptions is what the flags of idle say.
type idleOptions struct {
	workers  int
	duration time.Duration
	calls    int
	json     bool
}

// maxIdle bounds -workers: beyond it most systems run out of process ids.
const maxIdle = 20_000

func (o *idleOptions) register(set *flag.FlagSet) {
	set.IntVar(&o.workers, "workers", 100, "run `N` workers")
	set.DurationVar(&o.duration, "duration", 30*time.Second, "leave them idle for `D`")
	set.IntVar(&o.calls, "calls", 10_000, "then make `N` calls, by as many callers as there are workers")
	set.BoolVar(&o.json, "json", false, "print one line of JSON to standard output, everything else to standard error")
}

// check returns all that is wrong with the command line, each named with its remedy.
func (o *idleOptions) check(args []string) error {
	var problems []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	wrong(len(args) > 0, "%q: idle takes no arguments", args)
	wrong(o.workers < 1 || o.workers > maxIdle, "-workers %d: give a number from 1 to %d", o.workers, maxIdle)
	wrong(o.duration <= 0, "-duration %v: give a duration such as 30s", o.duration)
	wrong(o.calls < 0, "-calls %d: give a number of calls, or 0 for none", o.calls)
	return errors.Join(problems...)
}

func idleCommand(c console, help io.Writer) *ffcli.Command {
	var o idleOptions
	set := flag.NewFlagSet("broker-demo idle", flag.ContinueOnError)
	set.SetOutput(help)
	o.register(set)
	return &ffcli.Command{
		Name:       "idle",
		ShortUsage: "broker-demo idle [flags]",
		ShortHelp:  "Measure what a large idle crew costs.",
		LongHelp:   idleHelp,
		FlagSet:    set,
		Exec: func(_ context.Context, args []string) error {
			if err := o.check(args); err != nil {
				return &exitError{exitUsage, err}
			}
			signals, restore := notifyInterrupts()
			return runIdle(o, c, signals, restore)
		},
	}
}
