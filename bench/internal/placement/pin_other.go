//go:build !linux

package placement

import (
	"errors"
	"fmt"
	"runtime"
)

// PinUnsupported is nil where processes can be pinned.
var PinUnsupported = fmt.Errorf("a process cannot be pinned to a core on %s: %w; run it on Linux", runtime.GOOS, errors.ErrUnsupported)

// pinTo is not possible here.
func pinTo(int) error { return PinUnsupported }
