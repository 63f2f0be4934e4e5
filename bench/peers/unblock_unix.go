//go:build unix

package main

import "golang.org/x/sys/unix"

// unblock makes a descriptor one that the runtime's poller takes. It is our own: nobody else holds this end of the pipe.
func unblock(fd int) error { return unix.SetNonblock(fd, true) }
