//go:build !posixprocess

package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// makePipe returns the ends to read from and to write to, closed on exec.
func makePipe() (fds [2]int, err error) {
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return fds, err
}

func (s *pipeStream) Unread() (int, bool, error) { return s.stdin.unread() }

// unread says how much of what was written nobody has read yet, and whether nobody is left who could.
func (e *pipeEnd) unread() (n int, gone bool, err error) {
	closed := e.conn.Control(func(fd uintptr) {
		end := []unix.PollFd{{Fd: int32(fd)}}
		if _, err = unix.Poll(end, 0); err != nil {
			return // interrupted: as good as not known
		}
		gone = end[0].Revents&unix.POLLERR != 0          // first: what is there after it stays
		n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) // FIONREAD by its other name
	})
	if closed != nil {
		err = os.ErrClosed
	}
	return n, gone, err
}

func (e *pipeEnd) resize() bool {
	raised := false
	_ = e.conn.Control(func(fd uintptr) {
		_, err := unix.FcntlInt(fd, unix.F_SETPIPE_SZ, largePipeSize)
		raised = err == nil
	})
	return raised
}
