//go:build unix

package worker

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// private copies a descriptor to one that is no standard one and closed on exec.
func private(fd int, name string) (*os.File, error) {
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, unix.Stderr+1)
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", name, err)
	}
	return os.NewFile(uintptr(copied), name), nil
}

// replaceStandard puts the null device in the place of standard input, and standard error in that of standard output. It is done with
// descriptors, so that it holds for libraries in other languages and for children too.
func replaceStandard() error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	if err := replace(unix.Stdin, int(null.Fd())); err != nil {
		return fmt.Errorf("replace stdin: %w", err)
	}
	if err := replace(unix.Stdout, unix.Stderr); err != nil {
		return fmt.Errorf("replace stdout: %w", err)
	}
	return nil
}

// unclosed is a stream that stays open until the process ends, which follows: a Read that blocks in the system cannot be called off.
type unclosed struct{}

func (unclosed) CloseWrite() error { return nil }
func (unclosed) Close() error      { return nil }
