//go:build !linux && !darwin

package process

import (
	"errors"
	"fmt"
	"runtime"
)

func start(c Command, _ Options) (started, error) {
	return started{}, &StartError{
		Path:   c.name(),
		Err:    fmt.Errorf("child processes on %s: %w", runtime.GOOS, errors.ErrUnsupported),
		Remedy: "process groups and exit notices are supported on Linux and macOS only; StartFunc works here",
	}
}
