// Command guard notices when a call has become dearer. It has command peers measure stdcrew beside the raw pipe and compares the ratios of the
// two with recorded ones; it fails if one is worse by more than a quarter.
//
//	go build -o ../bin/peers ./peers
//	go run ./guard -peers ../bin/peers ../docs/benchmarks/guard.json
//	go run ./guard -peers ../bin/peers -record ../docs/benchmarks/guard.json
//
// A busy moment of the machine must not raise an alarm. What looks worse is measured again, by a fresh process and for twice as long, and
// counts only if it is worse again; with processes placed freely it is not judged at all while others use the machine.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/stdcrew/stdcrew/bench/internal/placement"
	"github.com/stdcrew/stdcrew/bench/internal/report"
)

func main() {
	peers := flag.String("peers", "", "command peers, built, is `path`")
	recording := flag.Bool("record", false, "record what is measured, in place of comparing with it")
	flag.Parse()
	if err := run(instrument(*peers), flag.Args(), *recording, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "guard: %v\n", err)
		os.Exit(1)
	}
}

// run compares with the file that is its argument, or writes it.
func run(measure measurer, args []string, recording bool, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("give the file of what is recorded")
	}
	all, err := load(args[0])
	if err != nil {
		return err
	}
	targets := guarded
	if placement.PinUnsupported != nil {
		fmt.Fprintf(os.Stderr, "guard: left out %s: %v\n", placement.Pinned, placement.PinUnsupported)
		targets = slices.DeleteFunc(slices.Clone(guarded), func(t target) bool { return t.Placement == placement.Pinned })
	}
	here := report.Here()
	if !recording {
		r, err := all.of(here, targets)
		if err != nil {
			return err
		}
		return r.compare(measure, targets, here, out)
	}
	r, err := measureRecord(measure, targets, here)
	if err != nil {
		return err
	}
	if err := r.print(out); err != nil {
		return err
	}
	if err := r.steady(); err != nil {
		return err
	}
	return all.with(r).save(args[0])
}

// compare measures what is recorded and returns an error if it is worse now.
func (r record) compare(measure measurer, targets []target, here report.Machine, out io.Writer) error {
	var all []verdict
	for i, t := range targets {
		verdicts, err := t.judge(r.Entries[i].Ratios, measure)
		if err != nil {
			return err
		}
		all = append(all, verdicts...)
	}
	if err := printVerdicts(out, r.Machine, here, all); err != nil {
		return err
	}
	return conclude(all)
}
