// Command broker-demo shows what a crew of worker processes does, on real input.
//
// It is its own worker program: the crews run the same binary again. Try
//
//	broker-demo run -verify -kill-every 500
//
// which has all words of the Go sources counted by workers of which one is
// killed every 500 files, and checks the result against a count made in process. Then
//
//	broker-demo load -callers 64 -workers 8 -kill-every 500
//
// measures calls to workers that echo, or to any other worker program, and checks
// that each call ends exactly once although workers are killed. And
//
//	broker-demo call -- ./echo echo '{"a": 1}'
//
// makes one call to a worker program, such as testworkers/echo, and tells what comes of it.
//
//	broker-demo idle -workers 1000
//
// measures what a large crew costs that has nothing to do.
//
//	broker-demo chaos -duration 10s
//
// throws kills, freezes, reloads and hostile workers at a crew under load, and counts what is lost and what is left.
//
//	broker-demo monitor -- sh -c 'date; exit 1'
//
// keeps a program running that knows nothing of this project, and prints what happens to it.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/peterbourgon/ff/v3/ffcli"
	"golang.org/x/term"

	"github.com/stdcrew/stdcrew/testworkers/handlers"
	"github.com/stdcrew/stdcrew/worker"
)

// The crews that run, and load and idle use.
const (
	indexCrew = "index"
	echoCrew  = "echo"
)

// crews is what the program is when it runs as a worker, by the name given to broker.Self.
var crews = map[string]func(*worker.Worker){
	indexCrew: handlers.Index,
	echoCrew:  handlers.Echo(0),
	"crash":   handlers.Crash,
	chaosCrew: handlers.Echo(chaosDelay),
}

func main() {
	beHostile()
	worker.Main(crews)
	columns, _, err := term.GetSize(int(os.Stderr.Fd()))
	os.Exit(run(os.Args[1:], console{
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		terminal: err == nil,
		columns:  columns,
	}))
}

// console is where a command prints to.
type console struct {
	stdout, stderr io.Writer
	terminal       bool // stderr is one
	columns        int  // of that terminal
}

// Exit codes.
const (
	exitOK          = 0
	exitWrong       = 1   // something went wrong; it has been or is printed
	exitUsage       = 2   // the command line makes no sense
	exitInterrupted = 130 // ended early by a signal, as shells have it
)

// exitError ends a command with an exit code. Err is printed unless it is nil.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// run executes the command line and returns the exit code.
func run(args []string, c console) int {
	// What the flag package prints is kept back: help goes to stdout, and an
	// error needs one line of it, not all.
	var help bytes.Buffer
	root := rootCommand(c, &help)
	err := root.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		if bare := errors.Unwrap(err); bare != nil {
			err = bare // without the parser's "error parsing commandline arguments"
		}
		err = &exitError{exitUsage, fmt.Errorf("%w; -h lists the flags", err)}
	}
	if err == nil {
		err = root.Run(context.Background())
	}

	var exit *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(c.stdout, help.String())
		return exitOK
	case !errors.As(err, &exit):
		exit = &exitError{exitWrong, err}
	}
	if exit.err != nil {
		fmt.Fprintf(c.stderr, "broker-demo: %v\n", exit.err)
	}
	return exit.code
}

func rootCommand(c console, help io.Writer) *ffcli.Command {
	set := flag.NewFlagSet("broker-demo", flag.ContinueOnError)
	set.SetOutput(help)
	return &ffcli.Command{
		Name:       "broker-demo",
		ShortUsage: "broker-demo <command> [flags] [arguments]",
		ShortHelp:  "A crew of worker processes on real input.",
		FlagSet:    set,
		Subcommands: []*ffcli.Command{
			runCommand(c, help), loadCommand(c, help), callCommand(c, help), idleCommand(c, help), chaosCommand(c, help),
			monitorCommand(c, help),
		},
		Exec: func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return &exitError{exitUsage, fmt.Errorf("unknown command %q; broker-demo -h lists them", args[0])}
			}
			return flag.ErrHelp
		},
	}
}
