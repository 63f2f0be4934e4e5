package process

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Subreaper makes this program the parent of its descendants whose own parent has died, in place of init. Those that come from a process
// of this package, by its group or as one of its [Stray] processes, are reaped by this package; it finds out by itself that this program is a subreaper, or
// the init of a container. All other orphans stay zombies until the program waits for them, so this is for programs that do, or that start
// processes through this package alone.
//
// It lasts until the program ends. On systems other than Linux the error is errors.ErrUnsupported.
func Subreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphans: %w", err)
	}
	return nil
}

// adopts tells whether the orphans among our descendants become children of this program.
func adopts() bool {
	if os.Getpid() == 1 {
		return true
	}
	var set int32
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&set)), 0)
	return errno == 0 && set != 0
}

const (
	// orphanWait is how long a killed group gets to end. The kernel needs less, unless a disk does not answer.
	orphanWait = 100 * time.Millisecond
	// orphanPause is how long the first wait is between two looks at it. It doubles.
	orphanPause = 500 * time.Microsecond
)

// reapOrphans takes the exits of those processes of a group that this program has adopted. The group's leader has been reaped, and the others
// killed; it waits up to patience for them to be dead.
//
// Nobody waits for these processes. Should the group's number be somebody else's by now, then that is a new leader, which is left alone, and
// its group with it.
func reapOrphans(group int, patience time.Duration) {
	deadline := time.Now().Add(patience)
	for pause := orphanPause; hasNoLeader(group); {
		pid, err := unix.Wait4(-group, nil, unix.WNOHANG, nil)
		switch {
		case pid > 0 || err == unix.EINTR:
			continue
		case err != nil || time.Until(deadline) <= pause: // there are none, or no more
			return
		}
		time.Sleep(pause)
		pause *= 2
	}
}

// hasNoLeader tells whether this program has no child with the group's number.
func hasNoLeader(group int) bool {
	return unix.Waitid(unix.P_PID, group, nil, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil) == unix.ECHILD
}
