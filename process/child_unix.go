//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unixChild is a real child process, the leader of its own process group.
type unixChild struct {
	id     int
	stdin  *pipeEnd
	handle handle // what the system gives beside the pid
	floor  int64  // its peak of resident memory is known only if it is above this
	care   care

	// mu makes signaling and reaping exclude each other: before the reaping the pid is the child's own, after it may be a stranger's. No
	// system call made under it can block.
	mu     sync.Mutex
	reaped bool
	killed bool // by us
	lost   bool // reaped by somebody else
}

func (c *unixChild) pid() int { return c.id }

func (c *unixChild) closeStdin() { _ = c.stdin.Close() }

func (c *unixChild) wait() { c.handle.wait(c.id) }

func (c *unixChild) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return true
	}
	dead, err := isDead(byPID, c.id, unix.WNOHANG)
	return err == nil && dead
}

// reap kills what is left of the group, then takes the exit status. While the leader is unreaped its pid, which is the group's id, cannot be
// given to anybody else. If somebody else has reaped it, nobody knows whose the id is by now, and nothing is killed.
func (c *unixChild) reap() status {
	defer c.handle.close()
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

func (c *unixChild) statusOf(ws unix.WaitStatus, usage unix.Rusage) status {
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
	if s.signal == KILL {
		s.oom = c.handle.oom(c.killed)
	}
	return s
}

func (c *unixChild) release() error { return c.handle.release() }

func (c *unixChild) resident() (int64, error) {
	sum, err := c.handle.resident(c.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped { // the pid may have been a stranger's
		return 0, ErrExited
	}
	return sum, err
}

// isOurs tells whether the dead child is still there to be reaped.
func (c *unixChild) isOurs() bool {
	dead, err := peek(byPID, c.id, unix.WNOHANG)
	return err == nil && dead
}

// isDead tells whether a child is dead, without reaping it. A child that has been reaped by somebody else is dead as well.
func isDead(idType, id, options int) (bool, error) {
	dead, err := peek(idType, id, options)
	if err == unix.ECHILD {
		return true, nil
	}
	return dead, err
}

// signal sends to the whole group, as long as the leader is unreaped.
func (c *unixChild) signal(signals ...Signal) error {
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
func (c *unixChild) send(s syscall.Signal) error {
	if c.id <= 1 {
		// To kill(2), -1 is every process there is, and 0 our own group.
		return syscall.EINVAL
	}
	if s == unix.SIGKILL {
		c.handle.kill()
	}
	err := unix.Kill(-c.id, s)
	if s == unix.SIGKILL || isNobody(err) {
		err = unix.Kill(c.id, s)
	}
	return err
}
