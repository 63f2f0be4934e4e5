package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/bench/internal/placement"
	"github.com/stdcrew/stdcrew/bench/internal/report"
)

const (
	rounds = 15 // of each contender, in turns, in a first measurement
	length = 100 * time.Millisecond
)

// subject is what is measured, by the names that peers has for it.
type subject struct {
	Workload  string `json:"workload"`
	Placement string `json:"placement"`
}

func (s subject) String() string { return s.Workload + " " + s.Placement }

// target is a subject with those of its figures that are judged.
type target struct {
	subject
	figures []string
}

// Names of figures.
const (
	p50  = "p50"
	mean = "mean"
	cpu  = "CPU"
	rate = "calls/s"
)

// guarded is a handful that differ in what they are dear for: a call by itself, bytes, encoding, a crowd at one worker and at many.
//
// What is not judged says little: a p99 anywhere; the mean of one caller placed freely, which is how cores wake up; the p50 of a call that
// lasts about as long as a process runs before another's turn, since most of the floor's pass between two turns and hardly any of ours.
// A crowd's times have its waiting in them, and the floor has none. A crowd at one worker, placed freely, makes a third more calls in one run than in
// another: it depends on who finds whom in the middle of a batch.
var guarded = []target{
	{subject{"64B/c1/w1/f1", placement.Pinned}, []string{p50, mean, cpu}},
	{subject{"64B/c1/w1/f1", placement.Free}, []string{p50, cpu}},
	{subject{"4KiB/c1/w1/f1", placement.Pinned}, []string{p50, mean, cpu}},
	{subject{"1MiB/c1/w1/f1", placement.Pinned}, []string{mean, cpu}},
	{subject{"struct/c1/w1/f1", placement.Pinned}, []string{p50, mean, cpu}},
	{subject{"64B/c256/w1/f64", placement.Pinned}, []string{rate, cpu}},
	{subject{"64B/c256/w8/f1", placement.Pinned}, []string{rate, cpu}},
	{subject{"64B/c256/w8/f1", placement.Free}, []string{rate, cpu}},
}

// measurement is what one run of peers comes to.
type measurement struct {
	ratios ratios
	others float64 // CPUs that other programs used meanwhile
}

// What others may use while something is measured. Placed freely, one worker loses two thirds of its calls to one program that computes, and
// the floor, which works on one side at a time, next to nothing; eight lose a quarter to a fifth of a CPU. On one core nothing changes
// as long as that core is left.
const (
	freeTolerates   = 0.1  // CPUs
	pinnedTolerates = 0.25 // of the one core, when the others are full
)

// disturbed says that others have changed what was measured.
func (m measurement) disturbed(s subject) bool {
	if s.Placement == placement.Pinned {
		return m.others > float64(runtime.NumCPU()-1)+pinnedTolerates
	}
	return m.others > freeTolerates
}

// ratios is how many times the floor's figures stdcrew's are, by the figure's name.
type ratios map[string]float64

// known returns the ratios that there are: some are not known everywhere.
func known(r gauge.Ratios) ratios {
	all := ratios{p50: r.P50, mean: r.Mean, cpu: r.CPU, rate: r.Rate}
	maps.DeleteFunc(all, func(_ string, ratio float64) bool { return ratio == 0 })
	return all
}

// measurer measures a subject in so many rounds.
type measurer func(s subject, rounds int) (measurement, error)

// instrument measures with the program peers, each time in a fresh process.
func instrument(peers string) measurer {
	return func(s subject, rounds int) (measurement, error) {
		fmt.Fprintf(os.Stderr, "%v, %d rounds\n", s, rounds)
		m, err := measure(exec.Command(peers, "-only", "^stdcrew$", "-placement", s.Placement, "-workloads", "^"+s.Workload+"$",
			"-rounds", strconv.Itoa(rounds), "-time", length.String()))
		if err != nil {
			return m, fmt.Errorf("%v: %w", s, err)
		}
		return m, nil
	}
}

func measure(peers *exec.Cmd) (m measurement, err error) {
	began := time.Now()
	before, err := gauge.BusyTime()
	if err != nil {
		return m, err
	}
	results, err := report.Run[report.Result](peers)
	if err != nil {
		return m, err
	}
	after, err := gauge.BusyTime()
	if err != nil {
		return m, err
	}
	if len(results) != 2 { // the floor's and stdcrew's
		return m, fmt.Errorf("peers has %d results", len(results))
	}
	own := peers.ProcessState.UserTime() + peers.ProcessState.SystemTime() // with the workers, which peers has waited for
	m.others = max(0, (after-before-own).Seconds()/time.Since(began).Seconds())
	m.ratios = known(results[1].Ratio)
	return m, nil
}
