package monitor

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/process"
)

// stock is what the tests must leave as it was.
type stock struct {
	goroutines, descriptors int
}

// takeStock starts a process first: the goroutines and descriptors that package process keeps for all are no leftovers.
func takeStock() stock {
	p, err := process.StartManaged(process.Command{Path: "true"}, process.ManagedOptions{})
	if err != nil {
		panic(err)
	}
	<-p.Ended()
	return stock{goroutines: runtime.NumGoroutine(), descriptors: descriptors()}
}

func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(entries)
}

// leftovers says what is still there a while after the tests.
func (s stock) leftovers() (left string) {
	eventually(func() bool {
		left = s.leftNow()
		return left == ""
	})
	return left
}

func (s stock) leftNow() string {
	// WNOWAIT: other code of this program may have children of its own.
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != unix.ECHILD {
		return fmt.Sprintf("children (waitid: %v)", err)
	}
	if n := descriptors(); n > s.descriptors {
		return fmt.Sprintf("%d descriptors, before %d", n, s.descriptors)
	}
	if n := runtime.NumGoroutine(); n > s.goroutines {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		return fmt.Sprintf("%d goroutines, before %d\n%s", n, s.goroutines, stacks.String())
	}
	return ""
}

// eventually looks again and again until done returns true, for at most ten seconds.
func eventually(done func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
