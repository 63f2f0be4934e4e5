package placement

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// PinUnsupported is nil where processes can be pinned.
var PinUnsupported error

// pinnedMark says to the re-executed program that it is pinned.
const pinnedMark = "STDCREW_BENCH_PINNED"

// pinTo returns in a process all of whose threads, and children, run on one CPU: this one or, where the program may not run there, the first
// where it may. An affinity belongs to a thread and the Go runtime has begun several by now, so the program is executed once more by the thread
// that was pinned.
func pinTo(cpu int) error {
	if os.Getenv(pinnedMark) != "" {
		return os.Unsetenv(pinnedMark)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var allowed, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("pin to CPU %d: which are allowed? %w", cpu, err)
	}
	if !allowed.IsSet(cpu) {
		for cpu = 0; !allowed.IsSet(cpu); {
			cpu++
		}
	}
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to CPU %d: %w", cpu, err)
	}
	err := unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), pinnedMark+"=1"))
	return fmt.Errorf("pin to CPU %d: execute again: %w", cpu, err)
}
