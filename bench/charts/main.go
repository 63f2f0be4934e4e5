// Command charts draws what command peers has measured: SVG charts, a page of tables and the medians, from the JSON on standard input.
//
//	go run ./peers -out results.json && go run ./charts ../docs/benchmarks < results.json
//
// It is a program of its own because the fonts of the plotting library would have a part in how long a worker takes to start.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/stdcrew/stdcrew/bench/internal/report"
)

func main() {
	if err := run(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "charts: %v\n", err)
		os.Exit(1)
	}
}

// run writes into the directory that is its argument.
func run(args []string, in io.Reader) error {
	if len(args) != 1 {
		return fmt.Errorf("give the directory to write to; the JSON comes from standard input")
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var r report.Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("read the results: %w", err)
	}
	var page bytes.Buffer
	if err := r.Markdown(&page); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(args[0], "results.md"), page.Bytes(), 0o644); err != nil {
		return err
	}
	for i := range r.Results {
		r.Results[i].Rounds = nil // they are many, and anybody's own are worth more
	}
	if err := report.Save(filepath.Join(args[0], "results.json"), r); err != nil {
		return err
	}
	for _, c := range charts {
		svg, err := c.draw(&r)
		if err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
		if svg == nil {
			continue // nothing of it was measured
		}
		if err := os.WriteFile(filepath.Join(args[0], c.file), svg, 0o644); err != nil {
			return err
		}
	}
	return nil
}
