// Package report is what a run of many contenders comes to, as data and as tables.
package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
)

// Report is what a run comes to.
type Report struct {
	Machine    Machine           `json:"machine"`
	Rounds     int               `json:"rounds"`
	Length     time.Duration     `json:"round_ns"`
	Contenders []Entry           `json:"contenders"`
	Skipped    map[string]string `json:"skipped,omitempty"` // by name, with what is not installed
	Results    []Result          `json:"results"`           // those of one workload and placement follow each other, the floor's first
}

// Result is one contender's figures for one workload in one placement.
type Result struct {
	Workload  string          `json:"workload"`
	Placement string          `json:"placement"`
	Contender string          `json:"contender"`
	Median    gauge.Figures   `json:"median"` // over the rounds
	Ratio     gauge.Ratios    `json:"ratio"`  // median of each round's ratio to the floor
	Rounds    []gauge.Figures `json:"rounds,omitempty"`
}

// Machine is where it ran.
type Machine struct {
	CPU  string    `json:"cpu"`
	CPUs int       `json:"cpus"`
	OS   string    `json:"os"`
	Go   string    `json:"go"`
	Date time.Time `json:"date"`
}

// Entry is a contender.
type Entry struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	What    string `json:"what"`
}

// Here describes this machine.
func Here() Machine {
	return Machine{
		CPU: cpuModel(), CPUs: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Date: time.Now().UTC().Truncate(time.Minute),
	}
}

// cpuModel returns the processor's name where the system tells it in the way of Linux.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// Save writes what a run comes to, a Report or another's, as JSON.
func Save(path string, results any) error {
	text, err := json.Marshal(results)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// Print prints the results for people.
func (r *Report) Print(out io.Writer) error {
	fmt.Fprintf(out, "%s\n", r.method())
	for _, g := range r.groups() {
		fmt.Fprintf(out, "\n%s, %s\n", g[0].Workload, g[0].Placement)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "\t%s\t\n", strings.Join(columns, "\t"))
		for _, res := range g {
			fmt.Fprintf(table, "%s\t%s\t\n", res.Contender, strings.Join(cells(res), "\t"))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Markdown prints the same for a page, with the versions.
func (r *Report) Markdown(out io.Writer) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "# Results\n\n%s\n\n| contender | version | how |\n|---|---|---|\n", r.method())
	for _, e := range r.Contenders {
		fmt.Fprintf(w, "| %s | %s | %s |\n", e.Name, e.Version, e.What)
	}
	for _, g := range r.groups() {
		fmt.Fprintf(w, "\n## %s, %s\n\n| | %s |\n|---|%s\n", g[0].Workload, g[0].Placement, strings.Join(columns, " | "), strings.Repeat("--:|", len(columns)))
		for _, res := range g {
			fmt.Fprintf(w, "| %s | %s |\n", res.Contender, strings.Join(cells(res), " | "))
		}
	}
	return w.Flush()
}

func (r *Report) method() string {
	m := r.Machine
	s := fmt.Sprintf("Medians of %d rounds of %v, in turns; %s, %s, %d × %s, %s.", r.Rounds, r.Length, m.Go, m.OS, m.CPUs, m.CPU, m.Date.Format(time.DateOnly))
	for _, name := range slices.Sorted(maps.Keys(r.Skipped)) {
		s += fmt.Sprintf(" Left out: %s (%s).", name, r.Skipped[name])
	}
	return s
}

// groups returns the results of each workload and placement together.
func (r *Report) groups() (all [][]Result) {
	for i, res := range r.Results {
		if i == 0 || res.Workload != r.Results[i-1].Workload || res.Placement != r.Results[i-1].Placement {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], res)
	}
	return all
}

// columns are what cells returns; with × they are ratios to the floor.
var columns = []string{"p50", "mean", "p99", "CPU per call", "calls/s", "× p50", "× mean", "× p99", "× CPU", "× calls/s"}

func cells(r Result) []string {
	f, x := r.Median, r.Ratio
	return []string{
		micros(f.P50), micros(f.Mean), micros(f.P99), micros(f.CPU), number(f.Rate, "%.0f"),
		number(x.P50, "%.2f"), number(x.Mean, "%.2f"), number(x.P99, "%.2f"), number(x.CPU, "%.2f"), number(x.Rate, "%.3f"),
	}
}

func micros(d time.Duration) string { return number(float64(d)/float64(time.Microsecond), "%.1f µs") }

// number leaves out what is not known.
func number(n float64, format string) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf(format, n)
}
