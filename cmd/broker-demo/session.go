package main

import (
	"errors"
	"os"
	"sync/atomic"
)

const maxReported = 20 // notes of one kind that are printed one by one

// session is what commands that keep a crew busy for a while have in common:
// a display, a meaning for Ctrl-C, and an end at which nothing is left behind.
type session struct {
	console  console
	crew     *crew
	progress *progress
	on       interrupts
	other    atomic.Int64 // errors that are not failed calls
}

// workflow says what a session shows while it goes on.
type workflow struct {
	unit      string        // what is counted, in the plural
	done      func() int64  // how many of them so far
	finishing string        // what goes on after the first Ctrl-C
	status    func() string // a few words on how it goes; nil: the crew's
}

// newSession begins a session; end must be called.
func newSession(c console, crew *crew, w workflow, signals <-chan os.Signal, restore func()) *session {
	s := &session{console: c, crew: crew}
	if w.status == nil {
		w.status = crew.status
	}
	s.progress = startProgress(c.stderr, c.terminal, w.unit, w.done, w.status)
	s.on = watchInterrupts(signals, restore, func() {
		s.progress.note("interrupted: finishing %s; once more to end at once", w.finishing)
	})
	return s
}

// end stops the workers and the display. It returns err, or that the user did not want to wait; then there is nothing to report.
func (s *session) end(err error) error {
	forced := s.on.force.Err() != nil
	s.on.stop()
	if forced {
		s.crew.kill()
	}
	closeErr := s.crew.close()
	s.progress.stop()

	switch {
	case forced:
		return &exitError{exitInterrupted, errors.New("ended at once; the run is incomplete")}
	case err != nil:
		return err
	}
	if closeErr != nil {
		s.fail(closeErr)
	}
	return nil
}

// fail counts and prints an error that is not a failed call.
func (s *session) fail(err error) {
	s.report(s.other.Add(1), "error: %v", err)
}

// failed is fail, unless the user did not want to wait: then it is we who ended what has failed.
func (s *session) failed(err error) {
	if s.on.force.Err() == nil {
		s.fail(err)
	}
}

// report prints the n-th note of its kind, unless there have been many.
func (s *session) report(n int64, format string, args ...any) {
	switch {
	case n < maxReported:
		s.progress.note(format, args...)
	case n == maxReported:
		s.progress.note(format+" (further ones are counted but not printed)", args...)
	}
}
