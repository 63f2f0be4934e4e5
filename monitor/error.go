package monitor

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrDuplicate is what a NameError wraps when a program of that name is there already.
	ErrDuplicate = errors.New("there is a program of this name already")
	// ErrUnknown is what a NameError wraps when no program has that name.
	ErrUnknown = errors.New("there is no program of this name")
)

// NameError says that a program's name is taken, or unknown.
type NameError struct {
	Name string
	Err  error // ErrDuplicate or ErrUnknown
}

func (e *NameError) Error() string { return fmt.Sprintf("monitor: program %q: %v", e.Name, e.Err) }

// Unwrap returns Err.
func (e *NameError) Unwrap() error { return e.Err }

// StopError says which programs had not ended when the time to wait for it was over. They are still being ended: KILL follows TERM as ever.
type StopError struct {
	Left []Status // sorted by name
	Err  error    // the cause of the context's end
}

func (e *StopError) Error() string {
	names := make([]string, len(e.Left))
	for i, s := range e.Left {
		names[i] = s.Name
		if s.PID != 0 {
			names[i] += fmt.Sprintf(" (pid %d)", s.PID)
		}
	}
	return fmt.Sprintf("monitor: not stopped yet: %s: %v", strings.Join(names, ", "), e.Err)
}

// Unwrap returns Err.
func (e *StopError) Unwrap() error { return e.Err }
