package process

import (
	"errors"
	"fmt"
)

// ErrExited is returned when something is asked of a process that has already exited. A signal is never sent then: the pid may belong
// to a stranger by now.
var ErrExited = errors.New("process has already exited")

// ErrAttached is returned by [Managed.Attach] when a source is attached already.
var ErrAttached = errors.New("a source is attached to standard input already")

// ErrHeld says that an output was given up before its end: somebody held it open after the process had exited, until DrainTimeout was over.
var ErrHeld = errors.New("still held open by another process")

// DescriptorError is returned by [Managed.WriteTo]: the process does not read from this descriptor, or not what we write.
type DescriptorError struct {
	FD int // the descriptor, as the process numbers it
}

func (e *DescriptorError) Error() string {
	return fmt.Sprintf("descriptor %d of the process cannot be written to; standard input is 0", e.FD)
}

// StartError is returned by [Start]. Nothing has been left behind: no process, no descriptor.
//
// errors.Is finds fs.ErrNotExist when there is no such program (or directory to run it in), fs.ErrPermission when it may not be executed,
// syscall.ENOEXEC when it is not a program for this system, errors.ErrUnsupported when this system is not supported.
type StartError struct {
	Path   string // the program, as the command named it
	Err    error  // what went wrong
	Remedy string // what may help, or empty
}

func (e *StartError) Error() string {
	text := fmt.Sprintf("start %q: %v", e.Path, e.Err)
	if e.Remedy != "" {
		text += " (" + e.Remedy + ")"
	}
	return text
}

// Unwrap returns Err.
func (e *StartError) Unwrap() error { return e.Err }
