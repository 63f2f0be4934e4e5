//go:build darwin || (linux && posixprocess)

package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func readNow(fd int, p []byte) (int, error)         { return syscall.Read(fd, p) }
func writeNow(fd int, p []byte) (int, error)        { return syscall.Write(fd, p) }
func writeBothNow(fd int, p, q []byte) (int, error) { return unix.Writev(fd, [][]byte{p, q}) }
