//go:build !posixprocess

package process

import (
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestL5_9_P47_NoThreadAndNoPollingForIdleChildren(t *testing.T) {
	const children = 100
	before := threads(t)
	var all []*Process
	for range children {
		p, _ := sleeper(t)
		all = append(all, p)
	}
	require.Less(t, threads(t)-before, children/4, "one blocked thread each would stand out from the runtime's own")

	// All that a process has are two goroutines that wait for the poller.
	waiting := regexp.MustCompile(`goroutine \d+ \[IO wait[^\]]*\]:`)
	require.True(t, eventually(func() bool {
		buf := make([]byte, 8<<20)
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		n := 0
		for _, stack := range stacks {
			if waiting.MatchString(stack) && (strings.Contains(stack, "(*Process).live(") || strings.Contains(stack, "(*output).run(")) {
				n++
			}
		}
		return n == 2*children
	}))
	for _, p := range all {
		require.NoError(t, p.Do(Kill))
	}
	for _, p := range all {
		require.Equal(t, KILL, ended(t, p).Signal)
	}
}

func TestWithoutPidfd(t *testing.T) {
	for name, pidfd := range map[string]func(int) int{
		"none": func(fd int) int {
			unix.Close(fd)
			return -1
		},
		"cannot be polled": func(fd int) int {
			unix.Close(fd)
			plain, err := unix.Open("/proc/self/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			require.NoError(t, err)
			return plain
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := spawn("/bin/cat", Command{Path: "cat"}, nil, care{})
			require.NoError(t, err)
			real := s.child.(*unixChild)
			fd, err := unix.PidfdOpen(real.id, 0)
			require.NoError(t, err)
			require.NoError(t, real.handle.pidfd.Close())
			s.child = &unixChild{id: real.id, stdin: real.stdin, handle: newHandle(pidfd(fd), nil)}

			p := newProcess(s, Options{})
			require.False(t, isClosed(p.Exited()))
			require.NoError(t, p.Do(Kill))
			require.Equal(t, KILL, ended(t, p).Signal)
			require.NoError(t, p.Stream().Close())
		})
	}
}
