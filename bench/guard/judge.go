package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/report"
)

const (
	// limit is by how much a ratio may be worse than the recorded one.
	limit = 0.25
	// alarms is how often a ratio must be worse before it counts.
	alarms = 2
	// attempts is how often a subject is measured at most, and after an alarm once more.
	attempts = 2
)

// verdict is what is to be said of one ratio.
type verdict struct {
	subject
	figure   string
	recorded float64
	last     measurement
	attempts int
	alarms   int // attempts at which it was worse and could be judged
}

// worse is how much more time a call takes than recorded, beside the floor's: 0.25 is a quarter more. Calls a second count as time a call.
func (v *verdict) worse() float64 {
	if v.figure == rate {
		return v.recorded/v.now() - 1
	}
	return v.now()/v.recorded - 1
}

// disturbed says that the last attempt proves nothing.
func (v *verdict) disturbed() bool { return v.last.disturbed(v.subject) }
func (v *verdict) exceeded() bool  { return v.worse() > limit }
func (v *verdict) failed() bool    { return v.alarms >= alarms }
func (v *verdict) settled() bool   { return v.failed() || !v.disturbed() && !v.exceeded() }
func (v *verdict) better() bool    { return !v.disturbed() && v.worse() < -limit }
func (v *verdict) silent() bool    { return !v.failed() && v.disturbed() }
func (v *verdict) now() float64    { return v.last.ratios[v.figure] }

// take takes an attempt into account, unless the verdict is settled.
func (v *verdict) take(m measurement) {
	if v.attempts > 0 && v.settled() {
		return
	}
	v.attempts++
	v.last = m
	if !v.disturbed() && v.exceeded() {
		v.alarms++
	}
}

// word is the verdict for the table.
func (v *verdict) word() (w string) {
	switch {
	case v.failed():
		w = "WORSE"
	case v.silent():
		w = fmt.Sprintf("not judged: others used %.1f CPUs", v.last.others)
	case v.better():
		w = "better"
	default:
		w = "ok"
	}
	if v.attempts > 1 {
		w += fmt.Sprintf(" (attempt %d)", v.attempts)
	}
	return w
}

// open says that it is worth another attempt.
func (v *verdict) open() bool { return !v.settled() && v.attempts < attempts+v.alarms }

// judge measures until every ratio is settled: on a quiet machine all are at once, unless something is worse.
func (t target) judge(recorded ratios, measure measurer) (all []verdict, err error) {
	figures := slices.Sorted(maps.Keys(recorded))
	for _, f := range figures {
		all = append(all, verdict{subject: t.subject, figure: f, recorded: recorded[f]})
	}
	n := rounds
	for again := true; again; {
		m, err := measure(t.subject, n)
		if err != nil {
			return nil, err
		}
		if now := t.of(m.ratios); !slices.Equal(now, figures) {
			return nil, fmt.Errorf("%v: recorded are %v, judged %v: %s", t.subject, figures, now, remedy)
		}
		again = false
		for i := range all {
			v := &all[i]
			v.take(m)
			again = again || v.open()
			if v.alarms > 0 {
				n = 2 * rounds
			}
		}
	}
	return all, nil
}

// of returns the names of the figures that are judged and known, sorted.
func (t target) of(r ratios) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r)), func(name string) bool { return !slices.Contains(t.figures, name) })
}

// conclude returns an error that names what is worse, if anything is. To have judged nothing is an error too.
func conclude(all []verdict) error {
	var failed []string
	silent := true
	for _, v := range all {
		silent = silent && v.silent()
		if v.failed() {
			failed = append(failed, fmt.Sprintf("%v %s (%s)", v.subject, v.figure, percent(v.worse())))
		}
	}
	if silent {
		return errors.New("nothing could be judged, others use the machine: run it again when it is quiet")
	}
	if failed == nil {
		return nil
	}
	return fmt.Errorf("worse than recorded by more than %.0f %%, measured twice: %s", 100*limit, strings.Join(failed, ", "))
}

func printVerdicts(out io.Writer, recorded, here report.Machine, all []verdict) error {
	fmt.Fprintf(out, "Ratios to the raw pipe: medians of %d rounds of %v, in turns.\nRecorded %s on %s, %s%s.\n\n",
		rounds, length, recorded.Date.Format(time.DateOnly), recorded.CPU, recorded.Go, differences(recorded, here))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "workload\tplacement\tfigure\trecorded\tnow\ttime\t")
	better, silent := false, 0
	for _, v := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%.2f\t%.2f\t%s\t%s\n", v.Workload, v.Placement, v.figure, v.recorded, v.now(), percent(v.worse()), v.word())
		better = better || v.better()
		if v.silent() {
			silent++
		}
	}
	if better {
		fmt.Fprintf(table, "\nSome are better than recorded. So that it stays so, %s.\n", remedy)
	}
	if silent > 0 {
		fmt.Fprintf(table, "\nNot judged: %d of %d. Run it again when the machine is quiet.\n", silent, len(all))
	}
	return table.Flush()
}

// differences says what may change the ratios and is no change of ours.
func differences(recorded, here report.Machine) string {
	var different []string
	if here.CPU != recorded.CPU {
		different = append(different, here.CPU)
	}
	if here.Go != recorded.Go {
		different = append(different, here.Go)
	}
	if different == nil {
		return ""
	}
	return "; here it is " + strings.Join(different, ", ")
}

func percent(share float64) string { return fmt.Sprintf("%+.0f %%", 100*share) }
