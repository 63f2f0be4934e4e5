//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the command, once started, the first of a group of processes.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the group of a command that has not been waited for: until then nobody else can have its number.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
