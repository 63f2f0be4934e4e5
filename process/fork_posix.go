//go:build darwin || (linux && posixprocess)

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"syscall"
)

// fork starts the program. care is told of the child before anybody else.
func fork(program string, c Command, attr *syscall.ProcAttr, care care) (pid int, h handle, err error) {
	if err := c.Limits.supported(); err != nil {
		return 0, handle{}, &StartError{Path: c.name(), Err: err}
	}
	return forkWatched(program, argv(c), attr, care.guard.add)
}

// forkGuardian starts the guardian's program.
func forkGuardian(program string, argv []string, attr *syscall.ProcAttr) (pid int, h handle, err error) {
	return forkWatched(program, argv, attr, nil)
}

// forkWatched starts a program whose death will be noticed.
func forkWatched(program string, argv []string, attr *syscall.ProcAttr, forked func(pid int)) (pid int, h handle, err error) {
	if err := exits.open(); err != nil {
		return 0, handle{}, err
	}
	pid, err = forkExec(program, argv, attr, forked)
	return pid, handle{}, err
}

// supported tells what is wrong with the limits: here there are none.
func (l Limits) supported() error {
	switch {
	case l.Memory < 0:
		return fmt.Errorf("Limits.Memory: %d is negative: %w", l.Memory, fs.ErrInvalid)
	case l.Memory > 0:
		return unsupported("Limits.Memory")
	case len(l.Rlimits) > 0:
		return unsupported("Limits.Rlimits")
	case l.NoNewPrivs:
		return unsupported("Limits.NoNewPrivs")
	default:
		return nil
	}
}

func unsupported(what string) error {
	return fmt.Errorf("%s on %s: %w", what, runtime.GOOS, errors.ErrUnsupported)
}
