package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuOfHost returns the CPU time that this process has used.
func cpuOfHost() (time.Duration, bool) { return cpuOf(unix.RUSAGE_SELF) }

// cpuOfDead returns the CPU time that the children of this process had used when they were reaped.
func cpuOfDead() (time.Duration, bool) { return cpuOf(unix.RUSAGE_CHILDREN) }

func cpuOf(who int) (time.Duration, bool) {
	var usage unix.Rusage
	if err := unix.Getrusage(who, &usage); err != nil {
		return 0, false
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), true
}

// cpuOfLiving returns the CPU time that a living process has used. It reads the process's clock,
// whose number is made of the pid as clock_getcpuclockid(3) does it.
func cpuOfLiving(pid int) (time.Duration, bool) {
	const scheduled = 2 // of the clocks of a process, the one of its time on a CPU
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}
