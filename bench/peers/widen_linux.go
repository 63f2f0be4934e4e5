package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// widen gives the floor the pipes that the broker gives its workers once they send much.
func widen(c *child, size int) {
	const usual, large = 64 << 10, 1 << 20
	if size <= usual {
		return
	}
	for _, f := range []*os.File{c.to, c.from} {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, large) // where it is refused the pipe is as it was
	}
}
