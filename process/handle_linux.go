//go:build !posixprocess

package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// findsStrays says that what carries a mark can be found.
const findsStrays = true

// handle is what Linux gives for a child beside its pid.
type handle struct {
	pidfd *os.File // in the poller; nil if the kernel gave none
	group *cgroup  // nil: it has none of its own
}

// newHandle takes over the pidfd, which is -1 if there is none.
func newHandle(pidfd int, group *cgroup) handle {
	h := handle{group: group}
	if pidfd < 0 {
		return h
	}
	if err := unix.SetNonblock(pidfd, true); err != nil {
		_ = unix.Close(pidfd)
		return h
	}
	h.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	return h
}

// wait parks this goroutine alone: the pidfd becomes readable at the death, and the poller watches it. Without a pidfd, or if it cannot be
// watched, it parks a thread as well. An error is ignored then: a child that cannot be waited for is lost, and reap finds that out.
func (h *handle) wait(pid int) {
	if h.pidfd == nil || !h.waitPidfd() {
		_, _ = isDead(byPID, pid, 0)
	}
}

// waitPidfd tells whether it could wait.
func (h *handle) waitPidfd() bool {
	conn, err := h.pidfd.SyscallConn()
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

// kill kills what is in the child's control group.
func (h *handle) kill() { h.group.kill() }

// attend returns what is left to us for a process with these limits, or nil.
func (h *handle) attend(c Command) func(*Process) {
	limit := c.Limits.Memory
	if limit == 0 || h.group != nil {
		return nil
	}
	return func(p *Process) { memoryLimits.add(p, limit) }
}

// oom tells whether a KILL was the kernel's, for lack of memory. killed says that there was one of ours.
func (h *handle) oom(killed bool) OOM {
	switch {
	case h.group != nil:
		if h.group.oomKills() > 0 {
			return OOMKnown
		}
	case !killed && systemOOM.suspect():
		return OOMLikely
	}
	return ""
}

// close gives back what is of no use once the child is reaped.
func (h *handle) close() {
	if h.pidfd != nil {
		_ = h.pidfd.Close()
	}
}

// release waits a little for the processes that share the child's control group.
func (h *handle) release() error {
	if err := h.group.remove(); err != nil {
		return fmt.Errorf("remove control group %s: %w", h.group.dir, err)
	}
	return nil
}

func (*handle) resident(leader int) (int64, error) { return residentOf(leader) }

// aftermath reaps what the group has left, if that is ours to do, and begins the search for those who have left the group.
func (c *unixChild) aftermath() func() []Stray {
	group := c.id
	if c.lost {
		group = 0
	} else if adopts() {
		reapOrphans(group, orphanWait)
	}
	if c.care.mark == "" {
		return func() []Stray { return nil }
	}
	q := strays.begin(c.care.mark, group)
	return func() []Stray { return strays.result(q) }
}
