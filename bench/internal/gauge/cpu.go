package gauge

import (
	"errors"
	"time"
)

// CPUTime returns the CPU time that these processes have used together, in all their threads, ended ones included. It is 0, which is shown as a dash,
// where the system has no clock of another process.
func CPUTime(pids ...int) (total time.Duration, err error) {
	for _, pid := range pids {
		t, e := cpuTime(pid)
		total += t
		err = errors.Join(err, e)
	}
	return total, err
}
