// Package placement has programs measure where the operating system puts their processes, and on one core.
package placement

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"

	"github.com/stdcrew/stdcrew/bench/internal/report"
)

// Where host and workers run.
const (
	Free   = "free"   // wherever the operating system puts them
	Pinned = "pinned" // all on one CPU
)

// All is both, in the order in which they are measured.
var All = []string{Free, Pinned}

// pinnedCPU is where pinned processes run, if they may.
const pinnedCPU = 0

const flagName = "placement"

// Flag adds the flag by which Elsewhere tells a process to measure by Here. Without it where stays as it is.
func Flag(f *flag.FlagSet, where *string) {
	f.Func(flagName, "measure only `free` or pinned, in this process, and print JSON", func(value string) error {
		if value != Free && value != Pinned {
			return errors.New("must be " + Free + " or " + Pinned)
		}
		*where = value
		return nil
	})
}

// Here measures in this process and prints the results for Elsewhere. To be pinned, the program is executed once more from its beginning.
func Here[T any](where string, measure func() ([]T, error)) error {
	if where == Pinned {
		if err := pinTo(pinnedCPU); err != nil {
			return err
		}
	}
	results, err := measure()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

// Elsewhere has a fresh process of this program measure, with these arguments: one that has been pinned stays so, and one that has measured has a heap.
// The error is errors.ErrUnsupported where processes cannot be placed so.
func Elsewhere[T any](where string, arguments ...string) ([]T, error) {
	if where == Pinned && PinUnsupported != nil {
		return nil, PinUnsupported
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return report.Run[T](exec.Command(self, append([]string{"-" + flagName, where}, arguments...)...))
}
