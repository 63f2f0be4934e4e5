//go:build unix

package modes

import (
	"os/exec"
	"syscall"
)

// freeze stops this process until somebody has it continue.
func freeze() error { return syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) }

// escaped has a child leave the process group.
func escaped(child *exec.Cmd) *exec.Cmd {
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return child
}
