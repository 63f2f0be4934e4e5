package process

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// linuxChild is a real child process, the leader of its own process group.
type linuxChild struct {
	id    int
	stdin *pipeEnd
	pidfd *os.File // in the poller; nil if the kernel gave none
	group *cgroup  // nil: it has none of its own
	floor int64    // its peak of resident memory is known only if it is above this
	care  care

	// mu makes signaling and reaping exclude each other: before the reaping the pid is the child's own, after it may be a stranger's. No
	// system call made under it can block.
	mu     sync.Mutex
	reaped bool
	killed bool // by us
	lost   bool // reaped by somebody else
}

// newLinuxChild takes over the pidfd, which is -1 if there is none.
func newLinuxChild(pid, pidfd int, stdin *pipeEnd) *linuxChild {
	c := &linuxChild{id: pid, stdin: stdin}
	if pidfd < 0 {
		return c
	}
	if err := unix.SetNonblock(pidfd, true); err != nil {
		_ = unix.Close(pidfd)
		return c
	}
	c.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	return c
}

func (c *linuxChild) pid() int { return c.id }

func (c *linuxChild) closeStdin() { _ = c.stdin.Close() }

// wait parks this goroutine alone: the pidfd becomes readable at the death, and the poller watches it. Without a pidfd, or if it cannot be
// watched, it parks a thread as well.
func (c *linuxChild) wait() {
	if c.pidfd == nil || !c.waitPidfd() {
		c.waitThread()
	}
}

// waitPidfd tells whether it could wait.
func (c *linuxChild) waitPidfd() bool {
	conn, err := c.pidfd.SyscallConn()
	if err != nil {
		return false
	}
	var waitErr error
	err = conn.Read(func(fd uintptr) bool {
		var dead bool
		dead, waitErr = isDead(unix.P_PIDFD, int(fd), unix.WNOHANG)
		return dead || waitErr != nil
	})
	return err == nil && waitErr == nil
}

// waitThread ignores an error: a child that cannot be waited for is lost, and reap finds that out.
func (c *linuxChild) waitThread() { _, _ = isDead(unix.P_PID, c.id, 0) }

// isDead tells whether the child is dead, without reaping it. A child that has been reaped by somebody else is dead as well.
func isDead(idType, id, options int) (bool, error) {
	for {
		var info unix.Siginfo
		switch err := unix.Waitid(idType, id, &info, unix.WEXITED|unix.WNOWAIT|options, nil); err {
		case nil:
			return info.Signo != 0, nil
		case unix.ECHILD:
			return true, nil
		case unix.EINTR:
		default:
			return false, err
		}
	}
}

// reap kills what is left of the group, then takes the exit status. While the leader is unreaped its pid, which is the group's id, cannot be
// given to anybody else. If somebody else has reaped it, nobody knows whose the id is by now, and nothing is killed.
func (c *linuxChild) reap() status {
	if c.pidfd != nil {
		defer c.pidfd.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reaped = true
	if !c.isOurs() {
		c.lost = true
		c.care.guard.leave()
		return status{code: noCode, lost: true}
	}
	_ = c.send(unix.SIGKILL)
	c.care.guard.leave() // from the next line on the group's number may be a stranger's
	var ws unix.WaitStatus
	var usage unix.Rusage
	for {
		_, err := unix.Wait4(c.id, &ws, 0, &usage)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return status{code: noCode, lost: true}
		}
		return c.statusOf(ws, usage)
	}
}

func (c *linuxChild) statusOf(ws unix.WaitStatus, usage unix.Rusage) status {
	s := status{
		code:   ws.ExitStatus(), // noCode if it was killed
		maxRSS: peakAbove(c.floor, usage),
		user:   time.Duration(usage.Utime.Nano()),
		system: time.Duration(usage.Stime.Nano()),
	}
	if !ws.Signaled() {
		return s
	}
	s.signal = Signal(ws.Signal())
	switch {
	case s.signal != KILL:
	case c.group != nil:
		if c.group.oomKills() > 0 {
			s.oom = OOMKnown
		}
	case !c.killed && systemOOM.suspect():
		s.oom = OOMLikely
	}
	return s
}

// release waits a little for the processes that share the child's control group.
func (c *linuxChild) release() error {
	if err := c.group.remove(); err != nil {
		return fmt.Errorf("remove control group %s: %w", c.group.dir, err)
	}
	return nil
}

func (c *linuxChild) resident() (int64, error) {
	sum, err := residentOf(c.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped { // the pid may have been a stranger's
		return 0, ErrExited
	}
	return sum, err
}

// isOurs tells whether the dead child is still there to be reaped.
func (c *linuxChild) isOurs() bool {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, c.id, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if err != unix.EINTR {
			return err == nil && info.Signo != 0
		}
	}
}

// signal sends to the whole group, as long as the leader is unreaped.
func (c *linuxChild) signal(signals ...Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return ErrExited
	}
	for _, s := range signals {
		c.killed = c.killed || s == KILL
		switch err := c.send(syscall.Signal(s)); {
		case errors.Is(err, unix.ESRCH): // reaped by somebody else
			return ErrExited
		case err != nil:
			return fmt.Errorf("send %s to process group %d: %w", s, c.id, err)
		}
	}
	return nil
}

// send is the only place that sends signals. The caller holds mu and the leader is unreaped. KILL goes to the leader as well, which may have
// moved to another group, and to all of its control group; other signals go to the leader only if nobody is left in its own.
func (c *linuxChild) send(s syscall.Signal) error {
	if c.id <= 1 {
		// To kill(2), -1 is every process there is, and 0 our own group.
		return syscall.EINVAL
	}
	if s == unix.SIGKILL {
		c.group.kill()
	}
	err := unix.Kill(-c.id, s)
	if s == unix.SIGKILL || errors.Is(err, unix.ESRCH) {
		err = unix.Kill(c.id, s)
	}
	return err
}
