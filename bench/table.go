package main

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"
)

// printTable prints the results for people.
func printTable(out io.Writer, s settings, results []result) error {
	fmt.Fprintf(out, "%d B there and back, one caller; medians of %d rounds of %d, in turns; %s, %s/%s, %d CPUs\n\n",
		s.size, s.rounds, s.calls, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "placement\t\tp50\tmean\tp99\tCPU per call")
	for _, r := range results {
		m := r.Median
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Placement, r.Name, micros(m.P50), micros(m.Mean), micros(m.P99), micros(m.CPU))
		if r.Name != pingName {
			fmt.Fprintf(table, "\t  × the floor\t%s\t%s\t%s\t%s\n", times(r.Ratio.P50), times(r.Ratio.Mean), times(r.Ratio.P99), times(r.Ratio.CPU))
		}
	}
	return table.Flush()
}

func micros(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f µs", float64(d)/float64(time.Microsecond))
}

func times(ratio float64) string {
	if ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", ratio)
}
