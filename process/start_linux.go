package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// selfExe is this very program, also when its file has been moved, replaced or deleted.
const selfExe = "/proc/self/exe"

func start(c Command, o Options) (started, error) {
	program, err := locate(c)
	if err != nil {
		return started{}, err
	}
	care := care{}
	if !o.SpareStrays {
		care.mark = newMark()
	}
	if o.Guard {
		care.guard = guards.reserve()
	}
	s, err := spawn(program, c, c.environ(marked(o.ExtraEnv, care.mark)), care)
	if err == nil {
		return s, nil
	}
	care.guard.leave()
	if explained := (*StartError)(nil); !errors.As(err, &explained) {
		err = explain(c, program, err)
	}
	return started{}, err
}

// care is what sees to it that nothing of a child is left behind.
type care struct {
	mark  string      // by which its descendants are found, empty if they are spared
	guard *guardPlace // nil if its group is not guarded
}

func argv(c Command) []string {
	name := c.Path
	if c.Self != "" {
		name = os.Args[0]
	}
	return append([]string{name}, c.Args...)
}

// spawn opens the pipes and starts the program between them. On an error nothing is left, neither open nor running.
func spawn(program string, c Command, env []string, care care) (s started, err error) {
	rlimits, err := c.Limits.check()
	if err != nil {
		return started{}, &StartError{Path: c.name(), Err: err}
	}
	extra, err := descriptorsOf(c)
	if err != nil {
		return started{}, err
	}
	var pipes stdio
	if err := pipes.open(); err != nil {
		return started{}, err
	}
	defer pipes.closeTheirs()
	defer func() {
		if err != nil {
			pipes.closeOurs()
		}
	}()

	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir:   c.Dir,
		Env:   env,
		Files: append(pipes.files(), extra...),
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: care.guard.deathSignal(), PidFD: &pidfd, Credential: c.Credential.sys()},
	}
	systemOOM.look()
	floor := peakResident()
	pid, group, err := fork(program, c, attr, care.guard.add)
	runtime.KeepAlive(c.ExtraFiles)
	if err != nil {
		return started{}, err
	}
	if err := setRlimits(c, pid, rlimits); err != nil {
		abandon(pid, pidfd, group, care)
		return started{}, err
	}
	stdin, stdout, stderr := pipes.ours()
	child := newLinuxChild(pid, pidfd, stdin)
	child.group, child.floor, child.care = group, floor, care
	s = started{child: child, stream: &pipeStream{stdin: stdin, stdout: stdout}, stdin: stdin, stdout: stdout, stderr: stderr}
	if limit := c.Limits.Memory; limit > 0 && group == nil {
		s.attend = func(p *Process) { memoryLimits.add(p, limit) }
	}
	return s, nil
}

// fork starts the program on the thread that is right for it. If its memory is limited, it is started in a control group of its own where that can
// be, which is nil otherwise.
func fork(program string, c Command, attr *syscall.ProcAttr, born func(pid int)) (pid int, group *cgroup, err error) {
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
func abandon(pid, pidfd int, group *cgroup, care care) {
	child := newLinuxChild(pid, pidfd, nil)
	child.group, child.care = group, care
	_ = child.signal(KILL)
	child.wait()
	child.reap()
	child.aftermath()()
	_ = child.release()
}

// checkText finds what the kernel could not be given: its strings end at the first NUL byte.
func checkText(what string, list []string) error {
	for i, text := range list {
		if strings.ContainsRune(text, 0) {
			return fmt.Errorf("%s %d contains a NUL byte: %w", what, i, syscall.EINVAL)
		}
	}
	return nil
}
