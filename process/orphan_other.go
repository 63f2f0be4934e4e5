//go:build !linux

package process

import (
	"errors"
	"fmt"
	"runtime"
)

// Subreaper makes this program the parent of its descendants whose own parent has died, which is possible on Linux only.
func Subreaper() error {
	return fmt.Errorf("become the parent of orphans on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
