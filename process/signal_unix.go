//go:build linux || darwin

package process

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// signalCont makes a stopped process go on, so that it can act on the TERM sent before it.
const signalCont = Signal(unix.SIGCONT)

func signalName(s Signal) string {
	return strings.TrimPrefix(unix.SignalName(syscall.Signal(s)), "SIG")
}
