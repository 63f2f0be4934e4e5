package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/monitor"
	"github.com/stdcrew/stdcrew/process"
)

// lastWait is how long the monitor may take after the second Ctrl-C to see that the program it killed is dead, and say so.
const lastWait = time.Second

// monitorRun is one execution of monitor.
type monitorRun struct {
	monitorOptions
	console console
	on      interrupts
	begun   time.Time
	over    chan monitor.What // the event after which nothing comes
	broken  chan error        // the first event that could not be printed

	mu   sync.Mutex
	last *process.Managed // the process that was started last
}

// runMonitor keeps the command running until it has finished, is given up, or a signal comes; then it says how that went.
func runMonitor(o monitorOptions, c console, signals <-chan os.Signal, restore func()) error {
	r := &monitorRun{monitorOptions: o, console: c, over: make(chan monitor.What, 1), broken: make(chan error, 1)}
	r.on = watchInterrupts(signals, restore, func() {
		fmt.Fprintf(c.stderr, "interrupted: stopping %s; once more to kill it\n", o.name)
	})
	defer r.on.stop()
	m, err := monitor.New(monitor.Options{OnEvent: r.print, Start: r.start})
	if err != nil {
		return err
	}
	if err := m.Add(o.name, o.command, o.program); err != nil {
		return err
	}
	return r.follow(m)
}

// follow returns when the program has ended for good.
func (r *monitorRun) follow(m *monitor.Monitor) error {
	r.begun = time.Now()
	m.Start()
	var what monitor.What
	var err error
	select {
	case what = <-r.over:
	case err = <-r.broken:
	case <-r.on.drain.Done():
	}
	err = errors.Join(err, r.stop(m))
	r.printLast(m.Snapshot()[0])
	_, gaveUp := what.(monitor.GaveUp)
	switch {
	case what == nil && r.on.drain.Err() != nil:
		return &exitError{exitInterrupted, err}
	case err == nil && gaveUp:
		return &exitError{code: exitWrong}
	}
	return err
}

// start is process.StartManaged, whose processes the second Ctrl-C kills.
func (r *monitorRun) start(c process.Command, o process.ManagedOptions) (*process.Managed, error) {
	p, err := process.StartManaged(c, o)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.last = p
	r.mu.Unlock()
	if r.on.force.Err() != nil {
		r.kill() // the second Ctrl-C may have come when there was nothing to be killed yet
	}
	return p, nil
}

// kill ends the process at once, if there is one.
func (r *monitorRun) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil {
		_ = r.last.Do(process.Kill) // fails for one that has exited
	}
}

// stop ends the program, and returns when it is gone and all events have been printed, or soon after the second Ctrl-C: then nobody may be
// reading them.
func (r *monitorRun) stop(m *monitor.Monitor) error {
	ctx, give := context.WithCancelCause(context.Background())
	defer give(nil)
	awaited := context.AfterFunc(r.on.force, func() {
		r.kill()
		time.AfterFunc(lastWait, func() { give(errors.New("ended at once")) })
	})
	defer awaited()
	return m.Stop(ctx)
}

// print is called for one event at a time.
func (r *monitorRun) print(e monitor.Event) {
	_, isLine := e.What.(monitor.Line)
	if !isLine || !r.eventsOnly {
		p := newMonitorEvent(e, r.begun)
		write := p.writeText
		if r.json {
			write = p.writeJSON
		}
		if err := write(r.console.stdout); err != nil {
			offer(r.broken, err)
		}
	}
	switch e.What.(type) {
	case monitor.Stopped, monitor.GaveUp:
		offer(r.over, e.What)
	}
}

// offer puts v into a channel that is of interest for its first value only.
func offer[T any](c chan<- T, v T) {
	select {
	case c <- v:
	default:
	}
}

// printLast says how it went, on standard error: nobody may be reading the standard output.
func (r *monitorRun) printLast(s monitor.Status) {
	last := s.LastReport.String()
	if s.LastError != nil {
		last = "not started: " + s.LastError.Error()
	}
	fmt.Fprintf(r.console.stderr, "%s: %s; last: %s\n", s.Name, plural(s.Generation, "start", "starts"), last)
}
