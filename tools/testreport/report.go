package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// event is one line of go test -json (go doc test2json), and of the build that comes before it (go help buildjson).
type event struct {
	Action  string
	Package string
	Test    string // empty for what concerns the whole package
	Output  string
}

// test names one test or subtest of the run.
type test struct{ pkg, name string }

// report collects events. What it prints appears when a package ends, so that packages tested at the same time do not mix.
type report struct {
	out     *bufio.Writer
	output  map[test]*strings.Builder // of tests that have not ended, and of packages (empty name) that have not
	failure map[string]bool           // packages in which a test has failed
	skips   []string
	passed  int
	failed  int // tests, and packages that failed without one (they do not build, or panic outside a test)
}

// copyReport reads events from in until its end and writes the report to out. It says whether everything passed.
// A line that is no event is written as it is.
func copyReport(out *bufio.Writer, in io.Reader) (ok bool, err error) {
	r := &report{out: out, output: map[test]*strings.Builder{}, failure: map[string]bool{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
	}
	r.close()
	return r.failed == 0, nil
}

func (r *report) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		r.print(string(line))
		return
	}
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.print(e.Output)
	case "output":
		if r.output[t] == nil {
			r.output[t] = new(strings.Builder)
		}
		r.output[t].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e.Package, e.Action)
		} else {
			r.endTest(t, e.Action)
		}
	}
}

func (r *report) endTest(t test, action string) {
	text := withoutMarks(r.take(t))
	switch action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.failure[t.pkg] = true
		r.print(text)
	case "skip":
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", t.pkg, t.name, reason(text)))
	}
}

// endPackage prints what belongs to the package as a whole. After a failure that is everything, with the output of
// tests that a panic or a timeout kept from ending; otherwise it is the closing line alone.
func (r *report) endPackage(pkg, action string) {
	text := r.take(test{pkg, ""})
	if action != "fail" {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") {
				r.print(line)
			}
		}
	} else {
		for t := range r.output {
			if t.pkg == pkg {
				r.print(withoutMarks(r.take(t)))
			}
		}
		r.print(text)
		if !r.failure[pkg] {
			r.failed++
		}
	}
	_ = r.out.Flush() // a person is watching; the error comes back at the last flush
}

func (r *report) close() {
	if len(r.skips) > 0 {
		r.print("\nskipped:\n")
	}
	for _, s := range r.skips {
		r.print("  " + s + "\n")
	}
	r.print(fmt.Sprintf("\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skips)))
}

func (r *report) print(s string) {
	_, _ = r.out.WriteString(s) // bufio keeps the error for Flush
}

// take returns what t has printed and forgets it.
func (r *report) take(t test) string {
	b := r.output[t]
	if b == nil {
		return ""
	}
	delete(r.output, t)
	return b.String()
}

// withoutMarks drops the lines that only -v prints (=== RUN, === PAUSE, …).
func withoutMarks(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "=== ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// reason is what a skipped test said, on one line.
func reason(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "--- SKIP") {
			parts = append(parts, line)
		}
	}
	if len(parts) == 0 {
		return "no reason given"
	}
	return strings.Join(parts, "; ")
}
