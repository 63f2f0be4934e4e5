package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// doze sleeps for d, or less, on a thread of its own: the kernel is late by some 50 µs, a timer of Go by up to a millisecond.
func doze(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // a signal may end it early
}
