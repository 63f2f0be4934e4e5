package main

import (
	"context"
	"flag"
	"io"

	"github.com/peterbourgon/ff/v3/ffcli"
)

const loadHelp = `  Makes calls to a crew of workers for a while and prints how long they took. The workers
  are the echo of this program, or CMD: a worker program, started without a shell. All
  flags go before it.

  Without -rate the loop is closed: each caller calls as soon as its last call has ended.
  Slow calls then keep other calls from being made, and so from being measured. With -rate
  the loop is open: calls are due at fixed times, whatever becomes of the earlier ones, and
  the latency of each is measured from when it was DUE. When all callers are busy, calls wait
  for one, and that waiting is part of their latency. None is left out: a rate that is too
  high makes the load longer than -duration, and its latencies grow with it. Measuring from
  when a call was made instead hides the worst ("coordinated omission"; see wrk2 at
  github.com/giltene/wrk2, and hdrhistogram.org, whose histogram is used here, to 3 digits).
  What this program itself is late by counts, too.

  Failed calls count with what they took. Those of class caller, which fail in the same way
  each time, end the load. A caller in a closed loop for whom there is no worker pauses for
  50 ms. Calls that still run when none has ended for 10 s after the end are given up.

  Every call has a number, and at the end load checks that each has ended once. A call is lost
  that does not even end when it is given up. It is duplicated if two answers bear its number:
  echo with -size 8 and more sends it along and compares the answer ("wrong_answer" among the
  errors). With -ledger the workers write down what they execute, by number, and load compares:
  a call that was answered has an end, one that was not executed has no begin, and without
  -idempotent none has two. For that CMD must answer ledger_echo, as testworkers/echo does.

  -reload-every replaces all workers by fresh ones again and again, which no call is to notice.

  CPU per call is that of the host, which is this program with all its measuring, and of the
  workers, from the first call until they are gone; those that are started meanwhile to
  replace others are included. It is null where the system does not tell.

  -json ends with a line of JSON: calls seconds calls_per_s mean_us p50_us p90_us p99_us p999_us
  max_us cpu_us_per_call errors (by class) not_sent unknown (failed calls that were certainly
  not executed, and that may have been) lost duplicated workers_started workers_lost reloads.

  The first Ctrl-C ends the load when the calls under way are done, and prints what was measured
  (exit code 130), the second ends it at once. Exit code 1 means that something went wrong: a
  call was lost or duplicated, the ledger does not agree, or calls failed; with -kill-every,
  interrupted calls are none of that.`

func loadCommand(c console, help io.Writer) *ffcli.Command {
	var o loadOptions
	set := flag.NewFlagSet("broker-demo load", flag.ContinueOnError)
	set.SetOutput(help)
	o.register(set)
	return &ffcli.Command{
		Name:       "load",
		ShortUsage: "broker-demo load [flags] [-- CMD [ARG…]]",
		ShortHelp:  "Measure calls on a crew of workers, and check that each ends exactly once.",
		LongHelp:   loadHelp,
		FlagSet:    set,
		Exec: func(_ context.Context, args []string) error {
			if err := o.prepare(args); err != nil {
				return &exitError{exitUsage, err}
			}
			crew, err := newCrew("load", o.pool())
			if err != nil {
				return err
			}
			signals, restore := notifyInterrupts()
			return runLoad(o, c, crew, signals, restore)
		},
	}
}
