package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stdcrew/stdcrew/monitor"
	"github.com/stdcrew/stdcrew/process"
)

// monitorEvent is an event as it is printed. Its JSON form, one line with these keys in this order, is what programs read; what is empty is
// left out.
type monitorEvent struct {
	Since      float64 `json:"since_s"`
	Program    string  `json:"program"`
	Generation int     `json:"generation"`
	Event      string  `json:"event"`
	Detail     string  `json:"detail,omitempty"`

	PID      int      `json:"pid,omitempty"`      // started, exited, given up
	Stream   string   `json:"stream,omitempty"`   // line
	After    *float64 `json:"after_s,omitempty"`  // ready
	Code     *int     `json:"code,omitempty"`     // exited, given up
	Signal   string   `json:"signal,omitempty"`   // exited, given up
	Killer   string   `json:"killer,omitempty"`   // exited, given up
	Lived    *float64 `json:"lived_s,omitempty"`  // exited, given up
	Delay    *float64 `json:"delay_s,omitempty"`  // backing off
	Attempt  int      `json:"attempt,omitempty"`  // backing off
	Attempts int      `json:"attempts,omitempty"` // given up
	Missing  int      `json:"missing,omitempty"`  // dropped
}

const lineEvent = "line"

// newMonitorEvent describes e, which happened in a run that began then.
func newMonitorEvent(e monitor.Event, begun time.Time) monitorEvent {
	p := monitorEvent{Since: decimals(e.Time.Sub(begun).Seconds()), Program: e.Program, Generation: e.Generation}
	p.Event, p.Detail = describeEvent(e.What)
	switch w := e.What.(type) {
	case monitor.Started:
		p.PID = w.PID
	case monitor.Ready:
		p.After = seconds(w.After)
	case monitor.Line:
		p.Stream = w.Stream.String()
	case monitor.Exited:
		p.addReport(w.Report)
	case monitor.BackingOff:
		p.Delay, p.Attempt = seconds(w.Delay), w.Attempt
	case monitor.GaveUp:
		p.Attempts = w.Attempts
		p.addReport(w.Report)
	case monitor.Dropped:
		p.Missing = w.Events
	}
	return p
}

// describeEvent says in a word or two what happened, and in a few more the details.
func describeEvent(what monitor.What) (event, detail string) {
	switch w := what.(type) {
	case monitor.Started:
		return "started", fmt.Sprintf("pid %d", w.PID)
	case monitor.Ready:
		return "ready", fmt.Sprintf("after %v", w.After.Round(time.Millisecond))
	case monitor.Line:
		return lineEvent, w.Text
	case monitor.Exited:
		return "exited", w.Report.String()
	case monitor.BackingOff:
		return "backing off", w.String()
	case monitor.Restarting:
		return "restarting", ""
	case monitor.StartFailed:
		return "start failed", w.Err.Error()
	case monitor.GaveUp:
		return "given up", fmt.Sprintf("after %s", plural(w.Attempts, "attempt", "attempts"))
	case monitor.Stopped:
		return "stopped", ""
	case monitor.Dropped:
		return "dropped", plural(w.Events, "event is missing", "events are missing")
	default:
		return "unknown event", what.String()
	}
}

// addReport says how the process ended, if there was one.
func (p *monitorEvent) addReport(r process.Report) {
	if r.PID == 0 {
		return
	}
	p.PID, p.Code, p.Killer, p.Lived = r.PID, &r.Code, string(r.Killer), seconds(r.Uptime)
	if r.Signal != 0 {
		p.Signal = r.Signal.String()
	}
}

func seconds(d time.Duration) *float64 {
	s := decimals(d.Seconds())
	return &s
}

// writeJSON prints the event as one line.
func (p *monitorEvent) writeJSON(out io.Writer) error {
	line, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}

// writeText prints the event for people.
func (p *monitorEvent) writeText(out io.Writer) error {
	if p.Event == lineEvent {
		_, err := fmt.Fprintf(out, "%s| %s\n", strings.TrimPrefix(p.Stream, "std")[:1], p.Detail) // o| or e|
		return err
	}
	line := fmt.Sprintf("%9.3f  %-12s  %s", p.Since, p.Event, p.Detail)
	_, err := fmt.Fprintln(out, strings.TrimRight(line, " "))
	return err
}
