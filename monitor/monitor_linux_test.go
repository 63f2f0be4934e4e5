package monitor

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// journal is what has been told to OnEvent.
type journal struct {
	mu     sync.Mutex
	events []Event
}

func (j *journal) note(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

func (j *journal) all() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Event(nil), j.events...)
}

// happened returns the events of type W.
func happened[W What](j *journal) []W {
	var all []W
	for _, e := range j.all() {
		if w, is := e.What.(W); is {
			all = append(all, w)
		}
	}
	return all
}

// runReal keeps a shell script running until the test ends, or until stop is called, which returns when nothing of it is left.
func runReal(t *testing.T, o Options, p ProgramOptions, code string) (m *Monitor, j *journal, stop func()) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "program.sh")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\n"+code), 0o700))
	j = &journal{}
	o.OnEvent = j.note
	m, err := New(o)
	require.NoError(t, err)
	require.NoError(t, m.Add("script", process.Command{Path: script, Dir: filepath.Dir(script)}, p))
	m.Start()
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, m.Stop(ctx))
	}
	t.Cleanup(stop)
	return m, j, stop
}

func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
}

// TestL4_3_RealProgram: a script that exits at once is started again after delays that double.
func TestL4_3_RealProgram(t *testing.T) {
	_, j, stop := runReal(t, Options{Policy: Policy{MinDelay: 20 * time.Millisecond, MaxDelay: 40 * time.Millisecond}}, ProgramOptions{}, "exit 3\n")
	require.True(t, eventually(func() bool { return len(happened[Started](j)) >= 4 }))
	stop()
	for i, e := range happened[BackingOff](j)[:3] {
		require.Equal(t, []time.Duration{20, 40, 40}[i]*time.Millisecond, e.Delay)
	}
	for _, e := range happened[Exited](j)[:3] {
		require.Equal(t, 3, e.Report.Code)
		requireGone(t, e.Report.PID)
	}
}

func TestL4_9_RealProgram(t *testing.T) {
	code := `printf 'out\n'; printf 'err \377\n' >&2; printf 'last'; head -c 1048576 /dev/zero | tr '\0' x >&2; exit 0`
	_, j, stop := runReal(t, Options{}, ProgramOptions{StopOnSuccess: true}, code)
	require.True(t, eventually(func() bool { return len(happened[Stopped](j)) == 1 }))
	stop()
	var stdout, stderr []string
	for _, l := range happened[Line](j) {
		if l.Stream == Stdout {
			stdout = append(stdout, l.Text)
		} else {
			stderr = append(stderr, l.Text)
		}
	}
	require.Equal(t, []string{"out", "last"}, stdout)
	require.Equal(t, []string{"err \uFFFD", strings.Repeat("x", 8<<10) + " … (cut)"}, stderr)
	require.Len(t, happened[Started](j), 1)
}

// TestL4_5_RealProgramThatIgnoresTerm gets KILL after the kill time, with its child, and comes back.
func TestL4_5_RealProgramThatIgnoresTerm(t *testing.T) {
	code := `trap '' TERM; sleep 1000 & echo child $!; echo ready; while :; do wait; done`
	policy := Policy{KillTime: 200 * time.Millisecond}
	m, j, stop := runReal(t, Options{Policy: policy}, ProgramOptions{ReadyLine: regexp.MustCompile("^ready$")}, code)
	for generation := 1; generation < 3; generation++ {
		require.True(t, eventually(func() bool { return len(happened[Ready](j)) == generation }))
		require.NoError(t, m.Restart("script"))
		require.True(t, eventually(func() bool { return len(happened[Started](j)) > generation }))
	}
	stop()
	exits := happened[Exited](j)
	require.Len(t, exits, 3)
	for _, e := range exits[:2] {
		require.Equal(t, process.KILL, e.Report.Signal)
		require.Equal(t, process.KillerAsked, e.Report.Killer)
		require.GreaterOrEqual(t, e.Report.Uptime, policy.KillTime)
		requireGone(t, e.Report.PID)
	}
	require.Empty(t, happened[BackingOff](j))
	for _, line := range happened[Line](j) {
		if child, is := strings.CutPrefix(line.Text, "child "); is {
			require.True(t, eventually(func() bool { return dead(child) }), "child %s", child)
		}
	}
}

// dead tells whether no process has the pid, or only a zombie that waits for init.
func dead(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// A daemon that the program leaves behind, with its output in its hands, is killed; if it is to be spared, it does not hold up what comes next.
func TestP30_RealProgramThatLeavesADaemon(t *testing.T) {
	for spare, drain := range map[bool]time.Duration{false: 10 * time.Second, true: 200 * time.Millisecond} {
		o := ProgramOptions{StopOnSuccess: true, SpareStrays: spare}
		code := "setsid sh -c 'echo $$; touch away; exec sleep 1000' & while [ ! -e away ]; do sleep 0.01; done"
		_, j, stop := runReal(t, Options{DrainTimeout: drain}, o, code)
		require.True(t, eventually(func() bool { return len(happened[Stopped](j)) == 1 }))
		stop()
		daemon := happened[Line](j)[0].Text
		report := happened[Exited](j)[0].Report
		require.Equal(t, spare, report.Held)
		require.Equal(t, spare, !dead(daemon))
		if spare {
			pid, err := strconv.Atoi(daemon)
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		} else {
			require.Len(t, report.Strays, 1)
		}
	}
}

func TestReady_RealFile(t *testing.T) {
	_, j, _ := runReal(t, Options{}, ProgramOptions{ReadyFile: "ready"}, "touch ready; exec sleep 1000\n")
	require.True(t, eventually(func() bool { return len(happened[Ready](j)) == 1 }))
}

// A program that cannot be started is an event, not the end.
func TestL4_7_RealProgramThatIsMissing(t *testing.T) {
	j := &journal{}
	m, err := New(Options{Policy: Policy{MinDelay: time.Millisecond, MaxAttempts: 3}, OnEvent: j.note})
	require.NoError(t, err)
	require.NoError(t, m.Add("gone", process.Command{Path: "/no/such/program"}, ProgramOptions{}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	require.True(t, eventually(func() bool { return len(happened[GaveUp](j)) == 1 }))
	cancel()
	require.NoError(t, <-done)
	require.Len(t, happened[StartFailed](j), 3)
	require.ErrorIs(t, happened[GaveUp](j)[0].Err, os.ErrNotExist)
}
