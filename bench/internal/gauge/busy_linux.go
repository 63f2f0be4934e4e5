package gauge

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of /proc/stat, the same on all that Go runs on.
const tick = time.Second / 100

// BusyTime returns how long the machine's CPUs have been busy since it started, all together, with what a hypervisor has taken away. It is
// counted by ticks: who sleeps at each of them counts too little, so that a fifth of a CPU may be missing.
func BusyTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := bytes.Fields(line)
	const first, idle, wait, steal = 1, 4, 5, 8
	if len(fields) <= steal {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var total time.Duration
	for i := first; i <= steal; i++ {
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		if i != idle && i != wait {
			total += time.Duration(n) * tick
		}
	}
	return total, nil
}
