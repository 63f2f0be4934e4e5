package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/bench/internal/report"
)

// patience is how often it is tried to measure for the record, if others use the machine.
const patience = 4

// runs is how many are made to record their median, each as long as a first measurement.
const runs = 3

// remedy is what to do about a record that does not fit.
const remedy = "run `make bench-record` with a tree that is known to be good, and keep the file"

// records is the file: one record for each kind of machine.
type records []record

// record is what was measured on one kind of machine.
type record struct {
	Machine report.Machine `json:"machine"`
	Entries []entry        `json:"entries"`
}

type entry struct {
	subject
	Ratios ratios `json:"ratios"` // medians of the runs
	spread ratios // the largest of the runs beside the smallest: 0.1 is a tenth more
}

// kind is what ratios depend on most: they hold for machines of one kind. A core more, and the scheduler does something else.
func kind(m report.Machine) string { return fmt.Sprintf("%s with %d CPUs", m.OS, m.CPUs) }

// load reads the file; that there is none yet is no error.
func load(path string) (records, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all records
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

func (all records) save(path string) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// of returns the record of this kind of machine, if it is of exactly the targets.
func (all records) of(here report.Machine, targets []target) (record, error) {
	var others []string
	for _, r := range all {
		if kind(r.Machine) != kind(here) {
			others = append(others, kind(r.Machine))
			continue
		}
		var recorded, guarded []subject
		for _, e := range r.Entries {
			recorded = append(recorded, e.subject)
		}
		for _, t := range targets {
			guarded = append(guarded, t.subject)
		}
		if !slices.Equal(recorded, guarded) {
			return record{}, fmt.Errorf("recorded are %v, guarded %v: %s", recorded, guarded, remedy)
		}
		return r, nil
	}
	if others == nil {
		return record{}, fmt.Errorf("nothing is recorded yet: %s", remedy)
	}
	return record{}, fmt.Errorf("nothing is recorded for %s, and what is for %s does not hold here: %s", kind(here), strings.Join(others, " and "), remedy)
}

// with returns all with r, in place of what there was for the same kind of machine.
func (all records) with(r record) records {
	kept := slices.DeleteFunc(slices.Clone(all), func(old record) bool { return kind(old.Machine) == kind(r.Machine) })
	kept = append(kept, r)
	slices.SortFunc(kept, func(a, b record) int { return strings.Compare(kind(a.Machine), kind(b.Machine)) })
	return kept
}

// measureRecord makes several runs, one after the other, so that no moment of the machine's is recorded.
func measureRecord(measure measurer, targets []target, here report.Machine) (record, error) {
	all := make([][]measurement, len(targets))
	for range runs {
		for i, t := range targets {
			now, err := undisturbed(measure, t.subject)
			if err != nil {
				return record{}, err
			}
			all[i] = append(all[i], now)
		}
	}
	r := record{Machine: here}
	for i, t := range targets {
		r.Entries = append(r.Entries, entryOf(t, all[i]))
	}
	return r, nil
}

// undisturbed measures while others leave the machine alone.
func undisturbed(measure measurer, s subject) (m measurement, err error) {
	for range patience {
		if m, err = measure(s, rounds); err != nil || !m.disturbed(s) {
			return m, err
		}
	}
	return m, fmt.Errorf("not recorded: others used %.1f CPUs during %v; try again when the machine is quiet", m.others, s)
}

// entryOf makes an entry of several runs, which know the same figures.
func entryOf(t target, all []measurement) entry {
	e := entry{subject: t.subject, Ratios: make(ratios), spread: make(ratios)}
	for _, figure := range t.of(all[0].ratios) {
		of := func(m measurement) float64 { return m.ratios[figure] }
		const thousandths = 1000 // are as much as anybody can read from it
		e.Ratios[figure] = math.Round(thousandths*gauge.MedianOf(all, of)) / thousandths
		least, most := math.Inf(1), 0.0
		for _, m := range all {
			least, most = min(least, of(m)), max(most, of(m))
		}
		e.spread[figure] = most/least - 1
	}
	return e
}

// steady returns an error if the runs differ by more than is tolerated later: a check could then say anything.
func (r record) steady() error {
	for _, e := range r.Entries {
		for _, figure := range slices.Sorted(maps.Keys(e.spread)) {
			if e.spread[figure] > limit {
				return fmt.Errorf("not recorded: %s of %v differs by %s from run to run; try again when the machine is quiet",
					figure, e.subject, percent(e.spread[figure]))
			}
		}
	}
	return nil
}

func (r record) print(out io.Writer) error {
	fmt.Fprintf(out, "Ratios to the raw pipe; medians of %d runs of %d rounds of %v, in turns.\n\n", runs, rounds, length)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "workload\tplacement\tfigure\tratio\truns differ by")
	for _, e := range r.Entries {
		for _, figure := range slices.Sorted(maps.Keys(e.Ratios)) {
			fmt.Fprintf(table, "%s\t%s\t%s\t%.2f\t%.0f %%\n", e.Workload, e.Placement, figure, e.Ratios[figure], 100*e.spread[figure])
		}
	}
	return table.Flush()
}
