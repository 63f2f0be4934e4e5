//go:build !posixprocess

package process

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The runtime makes ready for a system call that may block, and its monitor gives the processor to another thread if it takes 20 µs, as the copy of
// a large payload does. These three are for descriptors that do not block, and without all that. The errors are interrupted calls too.

func readNow(fd int, p []byte) (int, error) {
	return outcome(syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))))
}

func writeNow(fd int, p []byte) (int, error) {
	return outcome(syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))))
}

// writeBothNow writes p and then q.
func writeBothNow(fd int, p, q []byte) (int, error) {
	halves := [2]unix.Iovec{{Base: unsafe.SliceData(p)}, {Base: unsafe.SliceData(q)}}
	halves[0].SetLen(len(p))
	halves[1].SetLen(len(q))
	return outcome(syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&halves)), uintptr(len(halves))))
}

func outcome(n, _ uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
