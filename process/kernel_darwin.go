package process

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// selfExe is the file that this program was started from.
var selfExe, _ = os.Executable()

const (
	// selfMissing is what may help when it cannot be found.
	selfMissing = "the file that this program was started from has been moved or deleted"

	// signalLimit is above the highest signal number.
	signalLimit = 32

	// rssUnit is what a process's peak of memory is counted in, in bytes.
	rssUnit = 1

	// byPID says that a number is a pid: P_PID of idtype_t.
	byPID = 1
)

// siginfo is what waitid(2) fills in: the beginning of siginfo_t, and room for the rest of its 104 bytes.
type siginfo struct {
	signo, errno, code int32
	_                  [116]byte
}

// The codes of a death, CLD_EXITED to CLD_DUMPED.
const (
	codeExited = 1
	codeDumped = 3
)

// peek tells whether a child is dead, without reaping it. Unless options has WNOHANG it waits for that, and is asked to only when the child is about
// to be: the kernel counts a child that is stopped, too. The error is ECHILD if there is no such child. x/sys has no function for this call.
func peek(idType, id, options int) (bool, error) {
	for {
		var info siginfo
		//lint:ignore SA1019 there is no wrapper
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, uintptr(idType), uintptr(id), uintptr(unsafe.Pointer(&info)),
			uintptr(unix.WEXITED|unix.WNOWAIT|options), 0, 0)
		switch errno {
		case 0:
			return info.signo != 0 && codeExited <= info.code && info.code <= codeDumped, nil
		case unix.EINTR:
		default:
			return false, errno
		}
	}
}

// isNobody tells whether a signal to a group has found nobody in it. EPERM is what the kernel says of a group whose members are all dead and
// not reaped; it also says so where they are not ours to signal, which the signal to the leader shows.
func isNobody(err error) bool { return err == unix.ESRCH || err == unix.EPERM }
