package main

import (
	"context"
	"flag"
	"io"

	"github.com/peterbourgon/ff/v3/ffcli"
)

const monitorHelp = `  Keeps CMD running, and prints what happens to it. CMD is started without a shell and needs to
  know nothing of this project. Whenever it ends it is started again, whatever its exit code: at
  once if it has lived for -threshold, otherwise after a delay that doubles each time in a row.
  That it cannot be started counts as such a death. The delay runs from death to start.

  Each event is a line on standard output: seconds since the beginning, what happened, details.
  Lines that CMD writes come between them, behind o| (standard output) or e| (standard error).
  At the end, how often CMD was started and how it ended last goes to standard error.

  -json prints a JSON object on a line for each event instead. Its keys are since_s program
  generation (which start of CMD) event detail, and by event:
    started      pid
    line         stream (stdout or stderr); detail is the line
    ready        after_s
    exited       pid code (-1: ended by a signal) signal killer (why we ended it) lived_s
    backing off  delay_s attempt (how many short lives in a row)
    given up     attempts, and those of exited unless CMD could not be started
    dropped      missing (events that were not printed, because nobody read)
  No more have restarting, start failed and stopped. Keys without a value are left out.

  Ctrl-C or TERM stops CMD, with TERM, and KILL after -kill-time (exit code 130); the second kills
  it at once. Exit code 1 means that CMD was given up (-max-attempts), 0 that it exited with
  code 0 under -stop-on-success.`

func monitorCommand(c console, help io.Writer) *ffcli.Command {
	var o monitorOptions
	set := flag.NewFlagSet("broker-demo monitor", flag.ContinueOnError)
	set.SetOutput(help)
	o.register(set)
	return &ffcli.Command{
		Name:       "monitor",
		ShortUsage: monitorUsage,
		ShortHelp:  "Keep a command running and print what happens to it.",
		LongHelp:   monitorHelp,
		FlagSet:    set,
		Exec: func(_ context.Context, args []string) error {
			if err := o.complete(args); err != nil {
				return &exitError{exitUsage, err}
			}
			signals, restore := notifyInterrupts()
			return runMonitor(o, c, signals, restore)
		},
	}
}
