package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// topWords is how many of the most frequent words the report shows.
const topWords = 20

// summary is a run in numbers. Its JSON form, one line with these keys in this
// order, is what programs read.
type summary struct {
	Files          int64   `json:"files"`           // text files whose every piece was answered, over all passes
	Bytes          int64   `json:"bytes"`           // of the pieces that were answered
	Words          int64   `json:"words"`           // counted by the workers, each as often as it occurs
	Seconds        float64 `json:"seconds"`         // of all passes
	Calls          int64   `json:"calls"`           // made by the demo: one for each piece and pass
	Retries        int64   `json:"retries"`         // attempts beyond the first of a call
	WorkersStarted int64   `json:"workers_started"` // processes
	WorkersLost    int64   `json:"workers_lost"`    // processes that ended without having been asked to
	Errors         int64   `json:"errors"`          // failed calls, passes that did not verify, whatever else went wrong
	Verified       bool    `json:"verified"`        // -verify was given and every pass was equal

	passes              int
	failed              int64 // calls
	skipped, unreadable int64 // files
	verify, interrupted bool
}

// writeJSON prints the summary as one line.
func (s *summary) writeJSON(out io.Writer) error {
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}

// writeText prints the most frequent words and the summary for people.
func (s *summary) writeText(out io.Writer, words []wordCount) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, w := range words {
		fmt.Fprintf(table, "%d\t %s\n", w.count, w.word)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	seconds := max(s.Seconds, time.Millisecond.Seconds()) // what Seconds is rounded to
	fmt.Fprintf(out, "\n%s: %d files, %s, %d words in %.1f s: %.0f files/s, %s/s\n", plural(s.passes, "pass", "passes"),
		s.Files, mebibytes(float64(s.Bytes)), s.Words, s.Seconds, float64(s.Files)/seconds, mebibytes(float64(s.Bytes)/seconds))
	fmt.Fprintf(out, "calls: %d, %d of them failed; retries: %d\n", s.Calls, s.failed, s.Retries)
	fmt.Fprintf(out, "workers: %d started, %d lost\n", s.WorkersStarted, s.WorkersLost)
	fmt.Fprintf(out, "files left out: %d not text, %d unreadable\n", s.skipped, s.unreadable)
	_, err := fmt.Fprintln(out, s.outcome())
	return err
}

// outcome says in a line whether all was well.
func (s *summary) outcome() string {
	verified := "not verified (see -verify)"
	switch {
	case s.verify && s.Verified:
		verified = "verified: equal to the count made in process"
	case s.verify:
		verified = "NOT EQUAL to the count made in process"
	}
	switch {
	case s.interrupted:
		return "interrupted, incomplete; " + verified
	case s.Errors > 0:
		return fmt.Sprintf("errors: %d; %s", s.Errors, verified)
	default:
		return verified
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %s", n, many)
}

func mebibytes(n float64) string {
	return fmt.Sprintf("%.1f MiB", n/(1<<20))
}
