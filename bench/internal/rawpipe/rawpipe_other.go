//go:build !unix

package rawpipe

import (
	"errors"
	"fmt"
	"runtime"
)

// Unsupported is nil where there is a floor.
var Unsupported = fmt.Errorf("the raw pipe's floor is made of POSIX system calls, which %s has not: %w", runtime.GOOS, errors.ErrUnsupported)

// RoundTrip is not possible here.
func RoundTrip(_, _ int, _, _ []byte) error { return Unsupported }

// Echo is not possible here.
func Echo(string) error { return Unsupported }
