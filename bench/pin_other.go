//go:build !linux

package main

import (
	"errors"
	"fmt"
	"runtime"
)

// pinUnsupported is nil where processes can be pinned.
var pinUnsupported = fmt.Errorf("a process cannot be pinned to a core on %s: %w; run it on Linux", runtime.GOOS, errors.ErrUnsupported)

func pinTo(int) error { return pinUnsupported }
