package process

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// grandchild reads the pid that the program "grandchild" prints, and sees to it that the grandchild is gone after the test.
func grandchild(t *testing.T, out *bufio.Reader) int {
	t.Helper()
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	t.Cleanup(func() {
		if !gone(pid) {
			unix.Kill(pid, unix.SIGKILL)
		}
	})
	return pid
}

func TestP30_L5_7_GroupIsKilledAtTheExit(t *testing.T) {
	p := play(t, Options{}, "grandchild", "same", "leave")
	out := bufio.NewReader(p.Stream())
	pid := grandchild(t, out)
	r := ended(t, p)
	require.Equal(t, 0, r.Code)
	require.Empty(t, r.Killer)
	require.True(t, eventually(func() bool { return gone(pid) }))
	require.False(t, r.Held)
	require.Equal(t, "last words\n", r.StderrTail)
	_, err := io.ReadAll(out)
	require.NoError(t, err, "the grandchild's end of the pipe is gone too")
}

func TestP30_KillReachesTheGroup(t *testing.T) {
	p := play(t, Options{}, "grandchild", "same", "stay")
	out := bufio.NewReader(p.Stream())
	pid := grandchild(t, out)
	_, err := out.ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, p.Do(Kill))
	require.Equal(t, KILL, ended(t, p).Signal)
	require.True(t, eventually(func() bool { return gone(pid) }))
}

func TestP30_L5_7_DrainIsBounded(t *testing.T) {
	const drain = 100 * time.Millisecond
	begun := time.Now()
	p := play(t, Options{DrainTimeout: drain, SpareStrays: true}, "grandchild", "leave", "exit")
	out := bufio.NewReader(p.Stream())
	pid := grandchild(t, out)
	wait(t, p.Exited())
	require.Equal(t, 0, p.Report().Code, "known at the exit")
	r := ended(t, p)
	require.GreaterOrEqual(t, time.Since(begun), r.Uptime+drain)
	require.True(t, r.Held)
	require.Equal(t, "last words\n", r.StderrTail)
	require.False(t, gone(pid), "it has left the group and is spared")
}

func TestNegativeDrainTimeoutReadsWhatIsThere(t *testing.T) {
	p := play(t, Options{DrainTimeout: -1, SpareStrays: true}, "grandchild", "leave", "exit")
	grandchild(t, bufio.NewReader(p.Stream()))
	wait(t, p.Exited())
	begun := time.Now()
	r := ended(t, p)
	require.Less(t, time.Since(begun), defaultDrainTimeout)
	require.Equal(t, "last words\n", r.StderrTail)
	require.True(t, r.Held)

	require.False(t, ended(t, sh(t, "echo bye >&2", Options{DrainTimeout: -1})).Held, "nobody held it")
}

func TestP45_LastReplyIsReadableWhileAGrandchildHoldsStdout(t *testing.T) {
	p := play(t, Options{DrainTimeout: -1, SpareStrays: true}, "grandchild", "leave", "exit")
	wait(t, p.Exited())
	s := raw(t, p)
	s.Interrupt()
	buf := make([]byte, 4096)
	n, err := s.TryRead(buf)
	require.NoError(t, err)
	pid := grandchild(t, bufio.NewReader(strings.NewReader(string(buf[:n]))))
	require.False(t, gone(pid))
	_, err = s.TryRead(buf)
	require.ErrorIs(t, err, syscall.EAGAIN, "nothing more, and no end of file")
}

func TestKillReachesALeaderThatLeftItsGroup(t *testing.T) {
	other, _ := sleeper(t)
	p := play(t, Options{}, "elsewhere", strconv.Itoa(other.PID()))
	out := bufio.NewReader(p.Stream())
	pid := grandchild(t, out)
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	pgid, err := unix.Getpgid(p.PID())
	require.NoError(t, err)
	require.Equal(t, other.PID(), pgid)
	require.NoError(t, p.Do(Kill))
	require.Equal(t, KILL, ended(t, p).Signal)
	require.True(t, eventually(func() bool { return gone(pid) }), "who stayed in the group")
	require.False(t, gone(other.PID()), "whose group it was in")
}
