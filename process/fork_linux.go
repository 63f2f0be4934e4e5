//go:build !posixprocess

package process

import "syscall"

// fork starts the program with its limits. care is told of the child before anybody else.
func fork(program string, c Command, attr *syscall.ProcAttr, care care) (pid int, h handle, err error) {
	rlimits, err := c.Limits.check()
	if err != nil {
		return 0, handle{}, &StartError{Path: c.name(), Err: err}
	}
	pidfd := -1
	attr.Sys.PidFD, attr.Sys.Pdeathsig = &pidfd, care.guard.deathSignal()
	systemOOM.look()
	pid, group, err := forkLimited(program, c, attr, care.guard.add)
	if err != nil {
		return 0, handle{}, err
	}
	h = newHandle(pidfd, group)
	if err := setRlimits(c, pid, rlimits); err != nil {
		abandon(pid, h, care)
		return 0, handle{}, err
	}
	return pid, h, nil
}

// forkGuardian starts the guardian's program.
func forkGuardian(program string, argv []string, attr *syscall.ProcAttr) (pid int, h handle, err error) {
	pidfd := -1
	attr.Sys.PidFD = &pidfd
	pid, err = spawner().spawn(program, argv, attr, nil)
	if err != nil {
		return 0, handle{}, err
	}
	return pid, newHandle(pidfd, nil), nil
}

// forkLimited starts the program on the thread that is right for it. If its memory is limited, it is started in a control group of its own where
// that can be, which is nil otherwise.
func forkLimited(program string, c Command, attr *syscall.ProcAttr, born func(pid int)) (pid int, group *cgroup, err error) {
	choose := spawner
	if c.Limits.NoNewPrivs {
		choose = noNewPrivsSpawner
	}
	s := choose()
	if s.unfit != nil {
		return 0, nil, refusal(c, "Limits.NoNewPrivs", s.unfit, "it takes Linux 3.5")
	}
	if c.Limits.Memory > 0 {
		group = ourCgroups().create(c.Limits.Memory)
	}
	if group != nil {
		if pid, err = spawnInto(group, s, program, c, attr, born); err == nil {
			return pid, group, nil
		}
		_ = group.remove() // it is empty
		attr.Sys.UseCgroupFD = false
	}
	if c.Limits.Memory > 0 {
		if err := watchable(c); err != nil {
			return 0, nil, err
		}
	}
	if pid, err = s.spawn(program, argv(c), attr, born); err == nil && group != nil {
		ourCgroups().giveUp() // it was the group's fault
	}
	return pid, nil, err
}

// watchable returns why the memory of processes cannot be watched.
func watchable(c Command) error {
	ours, err := procIsOurs()
	if err == nil && !ours {
		return refusal(c, "Limits.Memory", errUnseen, "/proc must be mounted, and be that of this program's PID namespace")
	}
	return err
}

func spawnInto(group *cgroup, s *threadSpawner, program string, c Command, attr *syscall.ProcAttr, born func(pid int)) (int, error) {
	fd, err := group.open()
	if err != nil {
		return 0, err
	}
	defer closeAll(fd)
	attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, fd
	return s.spawn(program, argv(c), attr, born)
}

// abandon ends a child that nobody has seen yet.
func abandon(pid int, h handle, care care) {
	child := &unixChild{id: pid, handle: h, care: care}
	_ = child.signal(KILL)
	child.wait()
	child.reap()
	child.aftermath()()
	_ = child.release()
}

// deathSignal is what the process gets when this program dies. Where nobody kills its group it is KILL, which ends at least the leader.
func (g *guardPlace) deathSignal() syscall.Signal {
	if g != nil && g.alone {
		return syscall.SIGKILL
	}
	return syscall.SIGTERM
}
