package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// loadSummary is a load in numbers. Its JSON form, one line with these keys in this order, is what programs read.
type loadSummary struct {
	Calls          int64            `json:"calls"`           // that have ended, however
	Seconds        float64          `json:"seconds"`         // until the last of them
	CallsPerSecond float64          `json:"calls_per_s"`     //
	Mean           float64          `json:"mean_us"`         // latencies in microseconds, of failed calls too
	P50            float64          `json:"p50_us"`          //
	P90            float64          `json:"p90_us"`          //
	P99            float64          `json:"p99_us"`          //
	P999           float64          `json:"p999_us"`         //
	Max            float64          `json:"max_us"`          //
	CPU            *float64         `json:"cpu_us_per_call"` // of host and workers together; null where the system does not tell
	Errors         map[string]int64 `json:"errors"`          // failed calls by class
	NotSent        int64            `json:"not_sent"`        // failed calls that were certainly not executed
	Unknown        int64            `json:"unknown"`         // failed calls that may have been
	Lost           int64            `json:"lost"`            // calls that never ended
	Duplicated     int64            `json:"duplicated"`      // calls that ended twice, or were executed twice though not idempotent
	WorkersStarted int64            `json:"workers_started"` // processes
	WorkersLost    int64            `json:"workers_lost"`    // processes that ended without having been asked to
	Reloads        int64            `json:"reloads"`         // of all workers, after each of which none of before was left

	load                string // how the calls were made
	hostCPU, workersCPU float64
	retries             int64
	unmade              int64         // calls that were due when the load was ended early
	behind              time.Duration // by which an open loop took longer than asked
	ledger              *audit
	other               int64 // errors that are not failed calls
	tolerated           bool  // interrupted calls were to be expected
	interrupted         bool
}

// micros is a duration in microseconds, to the nanosecond.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// decimals keeps three digits behind the point, so that JSON has plain decimals.
func decimals(x float64) float64 { return math.Round(x*1000) / 1000 }

// setTimes fills in what the histogram says.
func (s *loadSummary) setTimes(h *hdrhistogram.Histogram, took time.Duration) {
	at := func(percentile float64) float64 { return micros(time.Duration(h.ValueAtPercentile(percentile))) }
	s.Seconds = decimals(took.Seconds())
	s.CallsPerSecond = decimals(float64(s.Calls) / max(took.Seconds(), time.Millisecond.Seconds()))
	s.Mean = decimals(h.Mean() / float64(time.Microsecond))
	s.P50, s.P90, s.P99, s.P999 = at(50), at(90), at(99), at(99.9)
	s.Max = micros(time.Duration(h.Max()))
}

// setCPU fills in the CPU time for each call.
func (s *loadSummary) setCPU(host, workers time.Duration) {
	calls := float64(max(s.Calls, 1))
	s.hostCPU, s.workersCPU = micros(host)/calls, micros(workers)/calls
	total := decimals(s.hostCPU + s.workersCPU)
	s.CPU = &total
}

// writeJSON prints the summary as one line.
func (s *loadSummary) writeJSON(out io.Writer) error {
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}

// writeText prints the summary for people.
func (s *loadSummary) writeText(out io.Writer) error {
	fmt.Fprintf(out, "%d calls in %.1f s: %.0f calls/s, %s\n", s.Calls, s.Seconds, s.CallsPerSecond, s.load)
	fmt.Fprintf(out, "latency: mean %.1f µs, p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n", s.Mean, s.P50, s.P90, s.P99, s.P999, s.Max)
	if s.CPU == nil {
		fmt.Fprintln(out, "CPU per call: not known on this system")
	} else {
		fmt.Fprintf(out, "CPU per call: %.1f µs: host %.1f, workers %.1f\n", *s.CPU, s.hostCPU, s.workersCPU)
	}
	fmt.Fprintf(out, "failed calls: %s; retries: %d\n", s.failed(), s.retries)
	fmt.Fprintf(out, "workers: %d started, %d lost\n", s.WorkersStarted, s.WorkersLost)
	if s.Reloads > 0 {
		fmt.Fprintf(out, "reloads: %d, after each of which no worker of before was left\n", s.Reloads)
	}
	if s.behind > time.Second {
		fmt.Fprintf(out, "the rate is more than these callers and workers can do: it took %.1f s longer\n", s.behind.Seconds())
	}
	if s.unmade > 0 {
		fmt.Fprintf(out, "calls that were due and not made: %d\n", s.unmade)
	}
	s.writeLedger(out)
	_, err := fmt.Fprintln(out, s.outcome())
	return err
}

// failed says how many calls failed and how.
func (s *loadSummary) failed() string {
	if len(s.Errors) == 0 {
		return "0"
	}
	var classes []string
	for _, class := range slices.Sorted(maps.Keys(s.Errors)) {
		classes = append(classes, fmt.Sprintf("%d %s", s.Errors[class], class))
	}
	return fmt.Sprintf("%s (%d not executed, %d may have been executed)", strings.Join(classes, ", "), s.NotSent, s.Unknown)
}

func (s *loadSummary) writeLedger(out io.Writer) {
	switch {
	case s.ledger == nil:
	case len(s.ledger.problems) == 0:
		fmt.Fprintf(out, "ledger: agrees; %d calls were executed\n", s.ledger.executed)
	default:
		fmt.Fprintln(out, "ledger: DISAGREES")
		for _, p := range s.ledger.problems {
			fmt.Fprintf(out, "  %v\n", p)
		}
	}
}

// outcome says in a line whether every call has ended once.
func (s *loadSummary) outcome() string {
	text := "every call ended exactly once"
	if s.Lost > 0 || s.Duplicated > 0 {
		text = fmt.Sprintf("NOT EVERY CALL ENDED ONCE: %d lost, %d duplicated", s.Lost, s.Duplicated)
	}
	if s.interrupted {
		return "interrupted; " + text
	}
	return text
}

// wrong says whether anything is, beside calls whose workers were killed on purpose.
func (s *loadSummary) wrong() bool {
	for class, n := range s.Errors {
		if n > 0 && !(s.tolerated && class == interruptedClass) {
			return true
		}
	}
	return s.Lost > 0 || s.Duplicated > 0 || s.other > 0 || s.ledger != nil && len(s.ledger.problems) > 0
}
