//go:build unix

package worker

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// killGroup kills the process group, with the process itself, if it leads it.
func killGroup() {
	if pid := os.Getpid(); pid > 1 && unix.Getpgrp() == pid {
		_ = unix.Kill(-pid, unix.SIGKILL) // where it fails, the process ends in the ordinary way
	}
}

// keepBrokenPipes makes a write to a broken standard error an error. Otherwise it would end the process, and with it what is still to be done
// at the end. The signal is caught and not ignored, because children would ignore it too.
func keepBrokenPipes() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
}
