//go:build !linux

package process

import (
	"errors"
	"fmt"
	"runtime"
)

// MarkInherited keeps the descriptors that this program has inherited from whoever started it from reaching its own children. It is supported
// on Linux only; here the error is errors.ErrUnsupported.
func MarkInherited() error {
	return fmt.Errorf("mark inherited descriptors on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
