//go:build darwin || (linux && posixprocess)

package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// makePipe returns the ends to read from and to write to, closed on exec. No child is forked between the two steps that this takes.
func makePipe() (fds [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := unix.Pipe(fds[:]); err != nil {
		return fds, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return fds, nil
}

// resize does nothing: the kernel gives a pipe the size that it needs.
func (*pipeEnd) resize() bool { return false }

// soon is nothing: there is no ReadSoon.
type soon struct{}

func (*soon) init() {}
