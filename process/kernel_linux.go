package process

import "golang.org/x/sys/unix"

const (
	// selfExe is this very program, also when its file has been moved, replaced or deleted.
	selfExe = "/proc/self/exe"
	// selfMissing is what may help when it cannot be found.
	selfMissing = "/proc must be mounted"

	// signalLimit is above the highest signal number.
	signalLimit = 65

	// rssUnit is what a process's peak of memory is counted in, in bytes.
	rssUnit = 1 << 10

	// byPID says that a number is a pid.
	byPID = unix.P_PID
)

// peek tells whether a child is dead, without reaping it. Unless options has WNOHANG it waits for that. The error is ECHILD if there is no such child.
func peek(idType, id, options int) (bool, error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(idType, id, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
		if err != unix.EINTR {
			return err == nil && info.Signo != 0, err
		}
	}
}

// isNobody tells whether a signal to a group has found nobody in it.
func isNobody(err error) bool { return err == unix.ESRCH }
