package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what a run comes to.
type report struct {
	Machine    machine           `json:"machine"`
	Settings   settings          `json:"settings"`
	Contenders []entry           `json:"contenders"`
	Skipped    map[string]string `json:"skipped,omitempty"` // by name, with what is not installed
	Results    []result          `json:"results"`
}

type machine struct {
	CPU  string    `json:"cpu"`
	CPUs int       `json:"cpus"`
	OS   string    `json:"os"`
	Go   string    `json:"go"`
	Date time.Time `json:"date"`
}

type entry struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	What    string `json:"what"`
}

func newReport(s settings, c choice) *report {
	r := &report{Settings: s, Skipped: c.skipped, Machine: machine{
		CPU: cpuModel(), CPUs: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Date: time.Now().UTC().Truncate(time.Minute),
	}}
	versions := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			versions[m.Path] = m.Version
		}
	}
	for _, k := range c.contenders {
		version := versions[k.module]
		if k.module == "" {
			version = "this tree"
		} else if k.module == goModule {
			version = runtime.Version()
		}
		r.Contenders = append(r.Contenders, entry{Name: k.name, Version: version, What: k.what})
	}
	return r
}

// goModule stands for what comes with Go.
const goModule = "std"

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

// print prints the results for people.
func (r *report) print(out io.Writer) error {
	m := r.Machine
	fmt.Fprintf(out, "medians of %d rounds of %v, in turns; %s, %s, %d × %s\n", r.Settings.Rounds, r.Settings.Length, m.Go, m.OS, m.CPUs, m.CPU)
	for name, what := range r.Skipped {
		fmt.Fprintf(out, "left out: %s (%s)\n", name, what)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	group := ""
	for _, res := range r.Results {
		if g := res.Workload + ", " + res.Placement; g != group {
			group = g
			if err := table.Flush(); err != nil {
				return err
			}
			fmt.Fprintf(out, "\n%s\n", g)
			fmt.Fprintln(table, "\tp50\tmean\tp99\tCPU per call\tcalls/s\t× p50\t× mean\t× p99\t× CPU\t× calls/s\t")
		}
		f, x := res.Median, res.Ratio
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", res.Contender, micros(f.P50), micros(f.Mean), micros(f.P99), micros(f.CPU),
			number(f.Rate, "%.0f"), number(x.P50, "%.2f"), number(x.Mean, "%.2f"), number(x.P99, "%.2f"), number(x.CPU, "%.2f"), number(x.Rate, "%.3f"))
	}
	return table.Flush()
}

func micros(d time.Duration) string { return number(float64(d)/float64(time.Microsecond), "%.1f µs") }

// number leaves out what is not known.
func number(n float64, format string) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf(format, n)
}
