//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

func start(c Command, o Options) (started, error) {
	program, err := locate(c)
	if err != nil {
		return started{}, err
	}
	care := care{}
	if findsStrays && !o.SpareStrays {
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

	attr := &syscall.ProcAttr{
		Dir:   c.Dir,
		Env:   env,
		Files: append(pipes.files(), extra...),
		Sys:   &syscall.SysProcAttr{Setpgid: true, Credential: c.Credential.sys()},
	}
	floor := peakResident()
	pid, handle, err := fork(program, c, attr, care)
	runtime.KeepAlive(c.ExtraFiles)
	if err != nil {
		return started{}, err
	}
	stdin, stdout, stderr := pipes.ours()
	child := &unixChild{id: pid, stdin: stdin, handle: handle, floor: floor, care: care}
	s = started{child: child, stream: &pipeStream{stdin: stdin, stdout: stdout}, stdin: stdin, stdout: stdout, stderr: stderr}
	s.attend = handle.attend(c)
	return s, nil
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
