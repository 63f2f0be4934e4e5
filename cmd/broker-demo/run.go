package main

import (
	"context"
	"flag"
	"io"

	"github.com/peterbourgon/ff/v3/ffcli"
)

const runHelp = `  Counts the words of all text files under DIR by a crew of worker processes, and
  prints the most frequent. DIR is the sources of the Go installation if left out,
  the current directory where there is no Go; it may also be a single file.

  A text file is valid UTF-8 without a NUL in its first 8 KiB. It is cut between words
  into pieces of at most 1 MiB, one call each; a longer word is cut. Symbolic links
  inside DIR are not followed. Files that cannot be read are reported and left out.

  The first Ctrl-C ends the run after the files that are open (exit code 130), the
  second at once. Exit code 1 means that something went wrong: a call failed, or with
  -verify a count was not equal. Files left out are not an error.`

func runCommand(c console, help io.Writer) *ffcli.Command {
	var o runOptions
	set := flag.NewFlagSet("broker-demo run", flag.ContinueOnError)
	set.SetOutput(help)
	o.register(set)
	return &ffcli.Command{
		Name:       "run",
		ShortUsage: "broker-demo run [flags] [DIR]",
		ShortHelp:  "Count the words of a directory's text files with a crew of workers.",
		LongHelp:   runHelp,
		FlagSet:    set,
		Exec: func(ctx context.Context, args []string) error {
			if err := o.prepare(ctx, args); err != nil {
				return &exitError{exitUsage, err}
			}
			crew, err := newIndexCrew(indexCrew, o.workers, o.inFlight)
			if err != nil {
				return err
			}
			signals, restore := notifyInterrupts()
			return runIndex(o, c, crew, signals, restore)
		},
	}
}
