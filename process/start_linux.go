package process

import (
	"fmt"
	"os"
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
	s, err := spawn(program, argv(c), c.environ(o.ExtraEnv), c.Dir)
	if err != nil {
		return started{}, explain(c, program, err)
	}
	return s, nil
}

func argv(c Command) []string {
	name := c.Path
	if c.Self != "" {
		name = os.Args[0]
	}
	return append([]string{name}, c.Args...)
}

// spawn opens the pipes and starts the program between them. On an error nothing is left open.
func spawn(program string, argv, env []string, dir string) (s started, err error) {
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
		Dir:   dir,
		Env:   env,
		Files: pipes.files(),
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM, PidFD: &pidfd},
	}
	pid, err := spawner().spawn(program, argv, attr)
	if err != nil {
		return started{}, err
	}
	stdin, stdout, stderr := pipes.ours()
	return started{
		child:  newLinuxChild(pid, pidfd, stdin),
		stream: &pipeStream{stdin: stdin, stdout: stdout},
		stdin:  stdin,
		stdout: stdout,
		stderr: stderr,
	}, nil
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
