package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/bench/internal/report"
)

// Placements of host and workers.
const (
	free   = "free"   // wherever the operating system puts them
	pinned = "pinned" // all on CPU pinnedCPU
)

const pinnedCPU = 0

// measureElsewhere has a fresh process measure one workload in one placement: a process that has been pinned stays so, and one that has
// measured has a heap.
func (s settings) measureElsewhere(workload, placement string) ([]report.Result, error) {
	if placement == pinned && gauge.PinUnsupported != nil {
		return nil, gauge.PinUnsupported
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return report.Run(exec.Command(self, "-placement", placement, "-workloads", "^"+regexp.QuoteMeta(workload)+"$", "-only", s.only,
		"-rounds", strconv.Itoa(s.rounds), "-time", s.length.String(), "-all="+strconv.FormatBool(s.all)))
}
