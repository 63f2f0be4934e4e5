package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// chaosVerdict is a run of chaos in numbers. Its JSON form, one line with these keys in this order, is what programs read.
type chaosVerdict struct {
	Seed              uint64           `json:"seed"`
	Faults            int64            `json:"faults"`         // thrown
	FaultsByKind      map[string]int64 `json:"faults_by_kind"` //
	Calls             int64            `json:"calls"`          // begun
	Answered          int64            `json:"answered"`       //
	Failed            int64            `json:"failed"`         // ended with a *broker.Error
	Lost              int64            `json:"lost"`           // neither, or refuted by the ledger
	Duplicated        int64            `json:"duplicated"`     // answered twice, or executed twice though not idempotent
	LeakedProcesses   int64            `json:"leaked_processes"`
	LeakedDescriptors int64            `json:"leaked_descriptors"`
	LeakedGoroutines  int64            `json:"leaked_goroutines"`
	LeakedThreads     int64            `json:"leaked_threads"`

	Duration       float64          `json:"duration_s"`      // until the last fault and call were over
	Survived       int64            `json:"survived"`        // faults
	FailedByClass  map[string]int64 `json:"failed_by_class"` //
	Overdue        int64            `json:"overdue"`         // calls that took longer than callBound
	Unexpected     int64            `json:"unexpected"`      // calls that ended as they must not
	Errors         int64            `json:"errors"`          // faults not survived, ways in which the ledger disagrees, and whatever else went wrong
	WorkersStarted int64            `json:"workers_started"` // processes of all pools
	WorkersLost    int64            `json:"workers_lost"`    // processes that ended without having been asked to

	survived    map[string]int64 // by kind
	problems    []*problem       // that the ledger has with the calls
	ledger      string           // where it is
	interrupted bool
}

// add counts calls.
func (v *chaosVerdict) add(l *callLog) {
	begun, answered, failed, lost := l.totals()
	_, _, duplicated := l.book.totals()
	v.Calls, v.Answered, v.Failed, v.Lost = v.Calls+begun, v.Answered+answered, v.Failed+failed, v.Lost+lost
	v.Duplicated += duplicated
	v.Overdue += l.overdue.Load()
	v.Unexpected += l.unexpected.Load()
	for class, n := range l.byClass() {
		v.FailedByClass[class] += n
	}
}

func (v *chaosVerdict) setLeaks(l leaks) {
	v.LeakedProcesses, v.LeakedDescriptors, v.LeakedGoroutines, v.LeakedThreads = l.processes, l.descriptors, l.goroutines, l.threads
}

// addAudit counts what the ledger says.
func (v *chaosVerdict) addAudit(a *audit, ledger string) {
	v.Lost += a.untrue
	v.Duplicated += a.duplicated
	v.Errors += int64(len(a.problems))
	v.problems, v.ledger = a.problems, ledger
}

// wrongs are the counts that must be zero and are not.
func (v *chaosVerdict) wrongs() map[string]int64 {
	counts := map[string]int64{
		"lost": v.Lost, "duplicated": v.Duplicated, "overdue": v.Overdue, "unexpected": v.Unexpected,
		"leaked processes": v.LeakedProcesses, "leaked descriptors": v.LeakedDescriptors,
		"leaked goroutines": v.LeakedGoroutines, "leaked threads": v.LeakedThreads,
		"faults not survived": v.Faults - v.Survived, "errors": v.Errors,
	}
	maps.DeleteFunc(counts, func(_ string, n int64) bool { return n == 0 })
	return counts
}

// print prints the verdict and returns the exit code.
func (v *chaosVerdict) print(c console, asJSON bool) error {
	text := c.stdout
	if asJSON {
		text = c.stderr
	}
	if err := v.writeText(text); err != nil {
		return err
	}
	if asJSON {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c.stdout, "%s\n", line); err != nil {
			return err
		}
	}
	switch {
	case len(v.wrongs()) > 0:
		return &exitError{code: exitWrong}
	case v.interrupted:
		return &exitError{code: exitInterrupted}
	}
	return nil
}

// writeText prints the verdict for people.
func (v *chaosVerdict) writeText(out io.Writer) error {
	fmt.Fprintf(out, "%s in %.1f s with seed %d, %d survived: %s\n", plural(int(v.Faults), "fault", "faults"), v.Duration, v.Seed, v.Survived, v.kinds())
	for _, kind := range slices.Sorted(maps.Keys(v.FaultsByKind)) {
		if missing := v.FaultsByKind[kind] - v.survived[kind]; missing > 0 {
			fmt.Fprintf(out, "  NOT SURVIVED: %d %s\n", missing, kind)
		}
	}
	fmt.Fprintf(out, "%d calls: %d answered, %d failed (%s), %d lost, %d duplicated\n",
		v.Calls, v.Answered, v.Failed, listed(v.FailedByClass), v.Lost, v.Duplicated)
	fmt.Fprintf(out, "workers: %d started, %d lost\n", v.WorkersStarted, v.WorkersLost)
	fmt.Fprintf(out, "left behind: %v\n", leaks{v.LeakedProcesses, v.LeakedDescriptors, v.LeakedGoroutines, v.LeakedThreads})
	if len(v.problems) > 0 {
		fmt.Fprintf(out, "the ledger, %s, DISAGREES\n", v.ledger)
		for _, p := range v.problems {
			fmt.Fprintf(out, "  %v\n", p)
		}
	}
	_, err := fmt.Fprintln(out, v.outcome())
	return err
}

// kinds says in a few words what was thrown: the modes of hostile workers are too many to be named.
func (v *chaosVerdict) kinds() string {
	crew, modes, hostile := map[string]int64{}, 0, int64(0)
	for kind, n := range v.FaultsByKind {
		if (fault{kind: kind}).againstCrew() {
			crew[kind] = n
		} else {
			modes, hostile = modes+1, hostile+n
		}
	}
	return fmt.Sprintf("%s; %d by hostile workers, in %s", listed(crew), hostile, plural(modes, "way", "ways"))
}

// listed is counts by name, in the order of the names.
func listed(counts map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// outcome says in a line whether all is well.
func (v *chaosVerdict) outcome() string {
	text := "every fault was survived; nothing was lost, nothing is left"
	if wrongs := v.wrongs(); len(wrongs) > 0 {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(wrongs)) {
			parts = append(parts, fmt.Sprintf("%s: %d", name, wrongs[name]))
		}
		text = "NOT ALL IS WELL: " + strings.Join(parts, ", ")
	}
	if v.interrupted {
		return "interrupted; " + text
	}
	return text
}
