package gauge

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime reads the process's clock, whose number is made of the pid as clock_getcpuclockid(3) does it: getrusage knows children only once they
// are dead.
func cpuTime(pid int) (time.Duration, error) {
	const scheduled = 2 // of the clocks of a process, the one of its time on a CPU
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, fmt.Errorf("CPU time of %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}
