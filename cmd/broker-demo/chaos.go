package main

import (
	"context"
	"flag"
	"io"

	"github.com/peterbourgon/ff/v3/ffcli"
)

const chaosHelp = `  Keeps a crew of workers under load and throws at it, one after another and several at a
  time: KILL, TERM, SEGV and STOP to random workers, with CONT up to 300 ms later or when it
  is too late; reloads, some of them to a program that does not start; resizes and stops.
  Beside it, in pools of the same broker, workers misbehave in all the ways that
  testworkers/hostile knows. The sequence of faults depends on the seed alone; what comes of
  it does not.

  A fault is survived when a call to the same pool has been answered after it. Every call has
  a number. The workers write down what they execute, by number, and at the end chaos holds
  that against what the callers were told. Half of the calls are idempotent, some callers leave early.

  -json ends with a line of JSON: seed faults faults_by_kind calls answered failed lost duplicated
  leaked_processes leaked_descriptors leaked_goroutines leaked_threads duration_s survived
  failed_by_class overdue unexpected errors workers_started workers_lost.

    failed      calls that ended with an error that says whose matter it is, as they may:
                those to workers that were lost, or whose callers left
    lost        calls that have not ended, or with an error that says nothing, or with a wrong
                answer; or that the ledger refutes: not executed, it was said, and they were
    duplicated  calls that were answered twice, or executed twice though not idempotent
    leaked_…    what there is more when the broker is closed than there was after a short
                warm-up; two more threads are the runtime's own affair
    overdue     calls that took longer than 15 s
    unexpected  calls that ended otherwise than they may, such as one that was answered by
                a worker that sends garbage
    errors      faults that were not survived, and anything else

  The first Ctrl-C ends it early, with the verdict (exit code 130), the second ends it at once.
  Exit code 0 means that every fault was survived and that lost, duplicated, leaked_…, overdue,
  unexpected and errors are 0. It runs on Linux only.`

func chaosCommand(c console, help io.Writer) *ffcli.Command {
	var o chaosOptions
	set := flag.NewFlagSet("broker-demo chaos", flag.ContinueOnError)
	set.SetOutput(help)
	o.register(set)
	return &ffcli.Command{
		Name:       "chaos",
		ShortUsage: "broker-demo chaos [flags]",
		ShortHelp:  "Throw kills, freezes, reloads and hostile workers at a crew under load, and count what is lost.",
		LongHelp:   chaosHelp,
		FlagSet:    set,
		Exec: func(_ context.Context, args []string) error {
			if err := o.complete(args); err != nil {
				return &exitError{exitUsage, err}
			}
			signals, restore := notifyInterrupts()
			return runChaos(o, c, signals, restore)
		},
	}
}
