package process

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// stock is what the tests must leave as it was.
type stock struct {
	goroutines  int
	descriptors []string
}

// takeStock starts a process first: the spawners, the poller and the runtime's signal loop stay, and are no leftovers.
func takeStock() stock {
	restore := unignoreSignals()
	restore()
	noNewPrivsSpawner()
	p, err := Start(Command{Path: "true"}, Options{})
	if err != nil {
		panic(err)
	}
	<-p.Ended()
	p.Stream().Close()
	return stock{goroutines: runtime.NumGoroutine(), descriptors: descriptors()}
}

// descriptors returns what this program has open.
func descriptors() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	var open []string
	for _, entry := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil {
			open = append(open, entry.Name()+" → "+target)
		}
	}
	return open
}

// leftovers says what is still there a while after the tests.
func (s stock) leftovers() string {
	var left string
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
	if now := descriptors(); len(now) > len(s.descriptors) {
		return fmt.Sprintf("descriptors: %q, before %q", now, s.descriptors)
	}
	if n := runtime.NumGoroutine(); n > s.goroutines {
		var stacks strings.Builder
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		return fmt.Sprintf("goroutines: %d, before %d\n%s", n, s.goroutines, stacks.String())
	}
	if n := largePipes.Load(); n != 0 {
		return fmt.Sprintf("%d pipes counted as large", n)
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

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	return len(tasks)
}
