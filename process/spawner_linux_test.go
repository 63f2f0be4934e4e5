package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestP32_ChildOutlivesTheThreadThatAskedForIt(t *testing.T) {
	started := make(chan *Process)
	asked := make(chan int)
	go func() {
		// Without an unlock the thread ends with this goroutine.
		runtime.LockOSThread()
		p, err := Start(Command{Path: "cat"}, Options{})
		if err != nil {
			t.Error(err)
		}
		asked <- unix.Gettid()
		started <- p
	}()
	tid := <-asked
	p := <-started
	if tid != os.Getpid() { // the main thread stays in any case
		require.True(t, eventually(func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
			return err != nil
		}))
	}
	_, err := io.WriteString(p.Stream(), "alive\n")
	require.NoError(t, err)
	require.Equal(t, "alive", readLine(t, p.Stream()))
	require.NoError(t, p.Do(CloseStdin))
	require.True(t, ended(t, p).Success())
	p.Stream().Close()
}

func TestP32_AllChildrenAreForkedByOneThread(t *testing.T) {
	needsLinux(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p, err := Start(Command{Path: "true"}, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			<-p.Ended()
			p.Stream().Close()
		})
	}
	wg.Wait()
	var spawners []string
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "(*threadSpawner).run(") {
			spawners = append(spawners, stack)
		}
	}
	require.Len(t, spawners, 2, "the other is for children without new rights, and has been asked for none of these")
	for _, stack := range spawners {
		state, _, _ := strings.Cut(stack, "\n")
		require.Contains(t, state, "locked to thread")
	}
}

// host starts a host with a child for each script, and returns it with the first two fields of what it prints about each: the child's pid
// and what the child said.
func host(t *testing.T, scripts ...string) (p *Process, pids []int) {
	t.Helper()
	return hostAs(t, "host", scripts...)
}

// hostAs is host for one of the programs that are hosts. What it leaves behind is spared.
func hostAs(t *testing.T, mode string, scripts ...string) (p *Process, pids []int) {
	t.Helper()
	p = play(t, Options{SpareStrays: true}, mode, scripts...)
	out := bufio.NewReader(p.Stream())
	for range scripts {
		line, err := out.ReadString('\n')
		require.NoError(t, err, p.StderrTail())
		for _, field := range strings.Fields(line) {
			pid, err := strconv.Atoi(field)
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return p, pids
}

// orphanGrace is how fast everything must be gone after a host's death.
const orphanGrace = 2 * time.Second

func requireGone(t *testing.T, pids []int) {
	t.Helper()
	died := time.Now()
	defer func() {
		for _, pid := range pids {
			if !gone(pid) {
				unix.Kill(pid, unix.SIGKILL)
			}
		}
	}()
	for _, pid := range pids {
		require.True(t, eventually(func() bool { return gone(pid) }), "%d is still there", pid)
	}
	require.Less(t, time.Since(died), orphanGrace)
}

func TestP41_ChildrenDieWithAKilledHost(t *testing.T) {
	needsLinux(t)
	const deafToEOF = "echo $$; exec sleep 300" // TERM by default, standard input never read
	scripts := make([]string, 8)
	for i := range scripts {
		scripts[i] = deafToEOF
	}
	p, pids := host(t, scripts...)
	for _, pid := range pids {
		require.False(t, gone(pid))
	}
	require.NoError(t, p.Do(Kill))
	wait(t, p.Exited())
	requireGone(t, pids)
}

func TestP41_GrandchildrenDieWhenTheChildKillsItsGroup(t *testing.T) {
	needsLinux(t)
	p, pids := host(t, "trap 'kill -9 0' TERM; sleep 300 & echo $!; wait")
	require.Len(t, pids, 2)
	require.NoError(t, p.Do(Kill))
	wait(t, p.Exited())
	requireGone(t, pids)
}

func TestL2_9_EOFReachesTheChildrenOfAKilledHost(t *testing.T) {
	p, pids := host(t, "trap '' TERM; echo $$; exec cat")
	require.NoError(t, p.Do(Kill))
	wait(t, p.Exited())
	requireGone(t, pids)
}

// masks runs the program "ignoring" with args, started by the shell command prefix, and returns what it printed.
func masks(t *testing.T, prefix string, args ...string) string {
	t.Helper()
	script := prefix + ` exec "$0" "$@"`
	c := Command{Path: "sh", Args: append([]string{"-c", script, testBinary(t)}, args...)}
	p := run(t, c, Options{ExtraEnv: asProgram("ignoring")})
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	require.True(t, ended(t, p).Success(), p.StderrTail())
	return string(all)
}

// reservedByLibc is the signals 32 to 34. The C library keeps them for itself; its posix_spawn, which make uses, has them ignored in whatever it
// starts, and Go programs cannot change that.
const reservedByLibc = 7 << 31

// mask reads a set of signals, without those that are the C library's own.
func mask(t *testing.T, line, format string) (set uint64) {
	t.Helper()
	_, err := fmt.Sscanf(line, format, &set)
	require.NoError(t, err, line)
	return set &^ reservedByLibc
}

func TestL5_10_P46_IgnoredSignalsAreDefaultInTheChild(t *testing.T) {
	const hupAndInt = 1<<(unix.SIGHUP-1) | 1<<(unix.SIGINT-1)
	check := func(t *testing.T, out string, ignored ...int) {
		t.Helper()
		lines := strings.Split(strings.TrimSpace(out), "\n")
		require.Len(t, lines, 3+len(ignored), out)
		for _, child := range lines[:2] {
			require.Zero(t, mask(t, child, "SigIgn:\t%x"), "a child ignores signals: %s", child)
		}
		require.EqualValues(t, hupAndInt, mask(t, lines[2], "own SigIgn:\t%x")&hupAndInt, "the host still ignores them")
		for i, n := range ignored {
			require.Equal(t, fmt.Sprint("ignored ", n), lines[3+i])
		}
	}
	t.Run("inherited", func(t *testing.T) {
		check(t, masks(t, "trap '' HUP INT;"), 1, 2)
	})
	t.Run("by the host", func(t *testing.T) {
		check(t, masks(t, "", "1", "2", "15", "10"), 1, 2, 10, 15)
	})
	t.Run("both", func(t *testing.T) {
		check(t, masks(t, "trap '' HUP;", "2"), 1, 2)
	})
}

// Which signals are ignored is the same for both spawners: one must not put it back while the other forks.
func TestL5_10_IgnoredSignalsAreDefaultInBothKindsOfChildren(t *testing.T) {
	needsLinux(t)
	p := play(t, Options{}, "ignoring2", "20")
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	require.Empty(t, string(all))
	require.True(t, ended(t, p).Success(), p.StderrTail())
}
