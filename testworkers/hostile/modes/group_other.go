//go:build !unix

package modes

import (
	"errors"
	"os/exec"
)

// freeze is not possible here.
func freeze() error { return errors.ErrUnsupported }

// escaped returns a child as it is: there are no process groups.
func escaped(child *exec.Cmd) *exec.Cmd { return child }
