package main

import (
	"context"
	"flag"
	"io"

	"github.com/peterbourgon/ff/v3/ffcli"
)

const callHelp = `  Starts the worker program CMD, calls METHOD with JSON (null if left out), prints the reply
  as JSON to standard output, and stops the program. What it writes to its standard error, how
  long its start and the call took, and how its process ended go to standard error.

  CMD is started without a shell. What comes behind it is the method, so its own arguments are
  given by -arg, each with a flag of its own:

    broker-demo call -arg -delay -arg 1s -- ./echo echo '{"a": 1}'

  JSON becomes MessagePack: whole numbers become integers where they fit 64 bits, others
  floating-point. In the reply, bytes become a string in base64, points in time one as RFC 3339
  has it, NaN and infinities their names; other extensions become {"ext": TYPE, "data": BASE64},
  and keys that are no strings the text of their JSON.

  A program that does not start is tried three times. A call that fails prints its class (caller,
  context, remote, unavailable, interrupted), its delivery (whether it may have been executed) and
  its text; the exit code is 1 then. Ctrl-C gives up the call (exit code 130), and the second kills CMD.`

func callCommand(c console, help io.Writer) *ffcli.Command {
	var o callOptions
	set := flag.NewFlagSet("broker-demo call", flag.ContinueOnError)
	set.SetOutput(help)
	o.register(set)
	return &ffcli.Command{
		Name:       "call",
		ShortUsage: "broker-demo call [flags] -- CMD METHOD [JSON]",
		ShortHelp:  "Make one call to a worker program and print what comes of it.",
		LongHelp:   callHelp,
		FlagSet:    set,
		Exec: func(_ context.Context, args []string) error {
			if err := o.complete(args); err != nil {
				return &exitError{exitUsage, err}
			}
			signals, restore := notifyInterrupts()
			return runCall(o, c, signals, restore)
		},
	}
}
