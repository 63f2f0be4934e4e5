package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what should take milliseconds.
const patience = 20 * time.Second

// needsLinux skips a test of what Linux alone has to offer when the code for macOS is tested.
func needsLinux(t *testing.T) {
	t.Helper()
	if !findsStrays {
		t.Skip("the code for macOS cannot do that")
	}
}

// run starts a command for the length of a test.
func run(t *testing.T, c Command, o Options) *Process {
	t.Helper()
	p, err := Start(c, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := p.Do(Kill); err != nil && !errors.Is(err, ErrExited) {
			t.Error(err)
		}
		p.Stream().Close()
		wait(t, p.Ended())
	})
	return p
}

// play starts the test binary as one of its programs.
func play(t *testing.T, o Options, mode string, args ...string) *Process {
	t.Helper()
	o.ExtraEnv = append(o.ExtraEnv, asProgram(mode)...)
	return run(t, Command{Path: testBinary(t), Args: args}, o)
}

// asProgram is what the environment of a test binary that plays a program has. With the race detector it would sleep before it exits.
func asProgram(mode string) []string {
	return []string{"GORACE=atexit_sleep_ms=0", envMode + "=" + mode}
}

func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

func sh(t *testing.T, script string, o Options) *Process {
	t.Helper()
	return run(t, Command{Path: "sh", Args: []string{"-c", script}}, o)
}

func wait(t *testing.T, c <-chan struct{}) {
	t.Helper()
	require.True(t, closedWithin(c, patience), "it takes too long")
}

func ended(t *testing.T, p *Process) Report {
	t.Helper()
	wait(t, p.Ended())
	return p.Report()
}

func readLine(t *testing.T, r io.Reader) string {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSuffix(line, "\n")
}

// stateOf returns the state letter of a process, or "" if there is none.
func stateOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

// gone tells whether a process is dead. An orphan may wait for init to reap it.
func gone(pid int) bool {
	state := stateOf(pid)
	return state == "" || state == "Z" || state == "X"
}

func TestExitCode(t *testing.T) {
	r := ended(t, play(t, Options{}, "exit", "3"))
	require.Equal(t, 3, r.Code)
	require.Zero(t, r.Signal)
	require.Empty(t, r.Killer)
	require.Positive(t, r.Uptime)
	require.True(t, ended(t, play(t, Options{}, "exit", "0")).Success())
}

// Dead is never behind Exited, and stays true when the process has been reaped.
func TestDead(t *testing.T) {
	p := play(t, Options{}, "echo")
	require.False(t, p.Dead())
	require.NoError(t, p.Do(Kill))
	require.Eventually(t, p.Dead, 10*time.Second, time.Millisecond)
	ended(t, p)
	require.True(t, p.Dead())
}

func TestL5_8_KilledBySignal(t *testing.T) {
	r := ended(t, play(t, Options{}, "selfkill", "9"))
	require.Equal(t, KILL, r.Signal)
	require.Equal(t, noCode, r.Code)
	require.Empty(t, r.Killer, "it was not us")
	require.Regexp(t, `^killed by signal 9 \(KILL\)(, probably out of memory,)? after `, r.String(), "the system may be short of memory")

	r = ended(t, sh(t, "kill -SEGV $$", Options{}))
	require.Equal(t, Signal(11), r.Signal)
	require.Contains(t, r.String(), "signal 11 (SEGV)")
}

func TestL2_9_StdinEOFEndsTheChild(t *testing.T) {
	p := play(t, Options{}, "echo")
	_, err := io.WriteString(p.Stream(), "still there\n")
	require.NoError(t, err)
	require.Equal(t, "still there", readLine(t, p.Stream()))
	require.NoError(t, p.Do(CloseStdin))
	require.True(t, ended(t, p).Success())
	require.ErrorIs(t, p.Do(CloseStdin), ErrExited)
}

func TestL1_1_L1_13_StopKillsWhoIgnoresTerm(t *testing.T) {
	p := play(t, Options{}, "deaf")
	require.Equal(t, "ready", readLine(t, p.Stream()))
	p.Blame(KillerHang)
	const grace = 50 * time.Millisecond
	begun := time.Now()
	r := p.Stop(t.Context(), Ladder(-1, -1, grace), nil)
	require.GreaterOrEqual(t, time.Since(begun), grace)
	require.Equal(t, KILL, r.Signal)
	require.Contains(t, r.String(), "stopped by us (hang): killed by signal 9 (KILL) after ")
}

func TestTerminateReachesAStoppedProcess(t *testing.T) {
	p := sh(t, "echo; exec sleep 300", Options{})
	readLine(t, p.Stream())
	require.NoError(t, p.Signal(Signal(unix.SIGSTOP)))
	require.True(t, eventually(func() bool { return stateOf(p.PID()) == "T" }))
	require.NoError(t, p.Do(Terminate))
	require.Equal(t, TERM, ended(t, p).Signal)
}

func TestL5_2_SignalsByNameAndNumber(t *testing.T) {
	for name, s := range map[string]Signal{"INT": INT, "TERM": TERM, "HUP": HUP, "USR1": Signal(unix.SIGUSR1)} {
		p := sh(t, fmt.Sprintf("trap 'echo got %s; exit 7' %s; echo ready; while :; do sleep 300 & wait; done", name, name), Options{})
		out := bufio.NewReader(p.Stream())
		line, err := out.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "ready\n", line)
		require.NoError(t, p.Signal(s))
		line, err = out.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "got "+name+"\n", line)
		require.Equal(t, 7, ended(t, p).Code)
		require.ErrorIs(t, p.Signal(s), ErrExited)
	}
}

func TestL1_2_L5_2_P33_NoSignalAfterReaping(t *testing.T) {
	p := sh(t, "exit 0", Options{})
	ended(t, p)
	require.ErrorIs(t, p.Signal(TERM), ErrExited)
	for _, step := range []Step{Ask, CloseStdin, Terminate, Kill} {
		require.ErrorIs(t, p.Do(step), ErrExited, step)
	}

	// A stranger that has got the pid of a reaped child.
	stranger := sh(t, "exec sleep 300", Options{})
	reaped := &unixChild{id: stranger.PID(), reaped: true}
	require.ErrorIs(t, reaped.signal(KILL), ErrExited)
	require.False(t, gone(stranger.PID()))

	// A stranger that has got the pid of a child which other code has reaped.
	require.Equal(t, status{code: noCode, lost: true}, (&unixChild{id: stranger.PID()}).reap())
	require.False(t, gone(stranger.PID()))
}

func TestL5_1_EndedProcessHoldsNoDescriptors(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the garbage collector closes files too
	before := descriptors()
	for range 5 {
		p := run(t, Command{Path: "true"}, Options{})
		ended(t, p)
		require.NoError(t, p.Stream().Close())
	}
	require.Equal(t, before, descriptors())
}

func TestP33_NoSignalToEverybody(t *testing.T) {
	for _, pid := range []int{1, 0, -1} {
		c := &unixChild{id: pid}
		// Nothing but 0, which only asks: a test that fails must not kill the machine.
		require.ErrorIs(t, c.signal(0), syscall.EINVAL)
	}
}

func TestP33_SignalsWhileItDies(t *testing.T) {
	for range 20 {
		p := run(t, Command{Path: "true"}, Options{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for p.Signal(Signal(unix.SIGURG)) == nil {
					runtime.Gosched()
				}
			})
		}
		wg.Wait()
		wait(t, p.Exited())
		require.ErrorIs(t, p.Signal(TERM), ErrExited)
	}
}

func TestP34_ReapedWithoutAnybodyWaiting(t *testing.T) {
	p := run(t, Command{Path: "true"}, Options{})
	require.True(t, eventually(func() bool { return stateOf(p.PID()) == "" }), "a zombie stays")
}

func TestP48_OtherChildrenKeepTheirExits(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			cmd := exec.Command("sh", "-c", fmt.Sprint("exit ", i+1))
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != i+1 {
				t.Errorf("os/exec's own child: %v", err)
			}
		})
		p := sh(t, fmt.Sprint("exit ", i+1), Options{})
		wg.Go(func() {
			<-p.Exited()
			if code := p.Report().Code; code != i+1 {
				t.Errorf("our child: code %d, want %d", code, i+1)
			}
		})
	}
	wg.Wait()
}

func TestExitStatusTakenBySomebodyElse(t *testing.T) {
	s, err := spawn("/bin/cat", Command{Path: "cat"}, nil, care{})
	require.NoError(t, err)
	require.NoError(t, s.stream.CloseWrite())
	_, err = unix.Wait4(s.child.pid(), nil, 0, nil)
	require.NoError(t, err)

	p := newProcess(s, Options{})
	r := ended(t, p)
	require.True(t, r.Lost)
	require.Equal(t, noCode, r.Code)
	require.False(t, r.Success())
	require.ErrorIs(t, p.Do(Kill), ErrExited)
	require.NoError(t, s.stream.Close())
}
