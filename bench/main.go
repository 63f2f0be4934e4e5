// Command bench compares broker.Call with the pipe under it.
//
// It measures, in turns, one caller's round trips to one child process: over raw pipes with nothing
// but system calls on both sides, which is the floor, and through broker.Call to an echo worker. It does so
// twice, with the processes placed by the operating system (free) and on
// one core (pinned), because the two answer different questions: on an idle machine a
// free core must first wake up, and a pinned one need not.
//
//	go run . -rounds 7 -calls 20000 -size 64
//
// For each it prints the median over the rounds of p50, mean, p99 and CPU time
// per call (of host and child together), then the medians of each round's
// ratio to the floor. Nothing is asserted.
//
//	go run . -deaths 300
//
// kills workers in the middle of a call, and bare children of the same program beside
// them, and prints how long it takes until the caller knows, and until the next worker answers.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"

	"github.com/stdcrew/stdcrew/bench/internal/placement"
	"github.com/stdcrew/stdcrew/bench/internal/rawpipe"
	"github.com/stdcrew/stdcrew/worker"
)

// settings is what the flags say.
type settings struct {
	rounds, calls, size int
	deaths              int
	json                bool
	placement           string // set in the processes that measure
}

func main() {
	worker.Main(workers)
	if len(os.Args) == 3 && os.Args[1] == pongCommand {
		exit(rawpipe.Echo(os.Args[2]))
	}
	var s settings
	flag.IntVar(&s.rounds, "rounds", 7, "measure each kind `N` times, in turns")
	flag.IntVar(&s.calls, "calls", 20_000, "make `N` round trips in a round")
	flag.IntVar(&s.size, "size", 64, "send `N` bytes there and back")
	flag.IntVar(&s.deaths, "deaths", 0, "measure the deaths of `N` workers instead")
	flag.BoolVar(&s.json, "json", false, "print JSON instead of a table")
	placement.Flag(flag.CommandLine, &s.placement)
	flag.Parse()
	exit(s.run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (s settings) run() error {
	if err := s.check(); err != nil {
		return err
	}
	if s.deaths > 0 {
		return s.runDeaths()
	}
	if s.placement != "" {
		return placement.Here(s.placement, func() ([]result, error) { return measure(s) })
	}
	var all []result
	for _, where := range placement.All {
		results, err := placement.Elsewhere[result](where, s.arguments()...)
		if errors.Is(err, errors.ErrUnsupported) {
			fmt.Fprintf(os.Stderr, "bench: left out %s: %v\n", where, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		all = append(all, results...)
	}
	if s.json {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	return printTable(os.Stdout, s, all)
}

// arguments are the flags with which another process measures the same.
func (s settings) arguments() []string {
	return []string{"-rounds", strconv.Itoa(s.rounds), "-calls", strconv.Itoa(s.calls), "-size", strconv.Itoa(s.size)}
}

func (s settings) check() error {
	var problems []error
	if s.rounds < 1 {
		problems = append(problems, fmt.Errorf("-rounds %d: at least one is needed", s.rounds))
	}
	if s.calls < 1 {
		problems = append(problems, fmt.Errorf("-calls %d: at least one is needed", s.calls))
	}
	if s.deaths < 0 {
		problems = append(problems, fmt.Errorf("-deaths %d: give a number of workers to kill", s.deaths))
	}
	if s.size < 1 || s.size > maxSize {
		problems = append(problems, fmt.Errorf("-size %d: must be 1 to %d, which a pipe takes at once", s.size, maxSize))
	}
	return errors.Join(problems...)
}
