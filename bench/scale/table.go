package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/bench/internal/report"
)

// document is what a run comes to.
type document struct {
	Machine report.Machine `json:"machine"`
	Rounds  int            `json:"rounds"`
	Length  time.Duration  `json:"round_ns"`
	Tables  []table        `json:"tables"`
	Skipped []string       `json:"skipped,omitempty"` // with the reason
}

// table is what one measurement in one placement comes to.
type table struct {
	Name      string `json:"name"`
	Placement string `json:"placement"`
	What      string `json:"what"`
	Rows      []row  `json:"rows"`
}

type row struct {
	Name    string   `json:"name"`
	Figures []figure `json:"figures"`
}

// figure is a number with its unit. What cannot be known is left out of a row.
type figure struct {
	Name   string    `json:"name"`
	Unit   unit      `json:"unit,omitempty"`
	Value  float64   `json:"value"`
	Rounds []float64 `json:"rounds,omitempty"` // of which the value is the median
}

type unit string

const (
	count     unit = ""
	fraction  unit = "fraction" // a mean of what is counted in whole numbers
	nanos     unit = "ns"
	octets    unit = "B"
	times     unit = "x" // a ratio
	perSecond unit = "1/s"
)

func (r *row) add(name string, u unit, value float64) {
	r.Figures = append(r.Figures, figure{Name: name, Unit: u, Value: value})
}

func (r *row) addTime(name string, d time.Duration) { r.add(name, nanos, float64(d)) }

// addRounds adds the median over the rounds.
func (r *row) addRounds(name string, u unit, rounds []float64) {
	identity := func(f float64) float64 { return f }
	r.Figures = append(r.Figures, figure{Name: name, Unit: u, Value: gauge.MedianOf(rounds, identity), Rounds: rounds})
}

// addComparison adds the medians of what was measured, and of its rounds' ratios to those of the same number that stand beside it.
func (r *row) addComparison(rounds, beside []gauge.Figures) {
	f, x := gauge.Conclude(rounds, beside)
	r.addTime("p50", f.P50)
	r.addTime("mean", f.Mean)
	r.addTime("p99", f.P99)
	r.addTime("CPU per call", f.CPU)
	r.add("calls/s", perSecond, f.Rate)
	ratios := make([]float64, len(rounds))
	for i := range rounds {
		ratios[i] = gauge.RatiosOf(rounds[i], beside[i]).P50
	}
	r.addRounds("× p50", times, ratios)
	r.add("× mean", times, x.Mean)
	r.add("× p99", times, x.P99)
	r.add("× CPU", times, x.CPU)
	r.add("× calls/s", times, x.Rate)
}

// print prints the tables for people.
func (d *document) print(out io.Writer) error {
	m := d.Machine
	fmt.Fprintf(out, "%d rounds of %v; %s, %s, %d × %s, %s\n", d.Rounds, d.Length, m.Go, m.OS, m.CPUs, m.CPU, m.Date.Format(time.DateOnly))
	for _, s := range d.Skipped {
		fmt.Fprintf(out, "left out: %s\n", s)
	}
	for _, t := range d.Tables {
		fmt.Fprintf(out, "\n%s, %s: %s\n", t.Name, t.Placement, t.What)
		if err := t.print(out); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	columns := t.columns()
	fmt.Fprintf(w, "\t%s\t\n", strings.Join(columns, "\t"))
	for _, r := range t.Rows {
		cells := make([]string, len(columns))
		for i, name := range columns {
			cells[i] = r.cell(name)
		}
		fmt.Fprintf(w, "%s\t%s\t\n", r.Name, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// columns are the names of all figures, in the order in which they come first.
func (t *table) columns() (names []string) {
	known := make(map[string]bool)
	for _, r := range t.Rows {
		for _, f := range r.Figures {
			if !known[f.Name] {
				known[f.Name] = true
				names = append(names, f.Name)
			}
		}
	}
	return names
}

func (r *row) cell(name string) string {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.String()
		}
	}
	return "-"
}

func (f figure) String() string {
	switch f.Unit {
	case nanos:
		return duration(f.Value)
	case octets:
		return size(f.Value)
	case times, fraction:
		return fmt.Sprintf("%.2f", f.Value)
	default:
		return fmt.Sprintf("%.0f", f.Value)
	}
}

func duration(ns float64) string {
	switch {
	case ns >= 1e9:
		return fmt.Sprintf("%.2f s", ns/1e9)
	case ns >= 1e6:
		return fmt.Sprintf("%.1f ms", ns/1e6)
	default:
		return fmt.Sprintf("%.1f µs", ns/1e3)
	}
}

func size(b float64) string {
	switch {
	case b >= 1<<20:
		return fmt.Sprintf("%.1f MiB", b/(1<<20))
	case b >= 10<<10:
		return fmt.Sprintf("%.1f KiB", b/(1<<10))
	default:
		return fmt.Sprintf("%.0f B", b)
	}
}
