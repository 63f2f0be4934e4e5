package process

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// MarkInherited keeps the descriptors that this program has inherited from whoever started it from reaching its own children. What Go opens
// never reaches them, but what a shell or a supervisor left open for this program without marking it does. MarkInherited marks every
// descriptor above the standard streams as closed on exec; Command.ExtraFiles are passed on all the same.
//
// It changes this program, and is for main to call, before the first child is started: programs that pass descriptors on by other means, such as
// syscall.Exec, lose them. It needs Linux 5.11; elsewhere the error is errors.ErrUnsupported.
func MarkInherited() error {
	const first = 3 // above the standard streams
	err := unix.CloseRange(first, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("mark inherited descriptors: %w: %w (it takes Linux 5.11)", errors.ErrUnsupported, err)
	}
	return nil
}
