package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// kqueue is a kernel event queue that gives notice of deaths.
type kqueue struct {
	fd     int
	events [64]unix.Kevent_t // for next
}

func newExitQueue() (exitQueue, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Kqueue()
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	return &kqueue{fd: fd}, nil
}

// add does not wait: there is no room for an event.
func (q *kqueue) add(pid int) error {
	var change unix.Kevent_t
	unix.SetKevent(&change, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	change.Fflags = unix.NOTE_EXIT
	_, err := unix.Kevent(q.fd, []unix.Kevent_t{change}, nil, nil)
	return err
}

func (q *kqueue) next() ([]int, error) {
	for {
		n, err := unix.Kevent(q.fd, nil, q.events[:], nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		pids := make([]int, n)
		for i := range pids {
			pids[i] = int(q.events[i].Ident)
		}
		return pids, nil
	}
}

func (q *kqueue) close() { closeAll(q.fd) }
