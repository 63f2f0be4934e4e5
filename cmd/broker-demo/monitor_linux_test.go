package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/process"
)

// keep runs monitor with the shell script in this process.
func keep(t *testing.T, script string, flags ...string) (code int, stdout, stderr string) {
	t.Helper()
	return demo(t, append(append([]string{"monitor"}, flags...), "--", "sh", "-c", script)...)
}

// quickly are the flags of a monitor that does not let a test wait.
var quickly = []string{"-min-delay", "10ms", "-max-delay", "15ms"}

// steps are the JSON lines of a run, each as its event with what does not depend on the time.
func steps(t *testing.T, stdout string) (steps []string) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var e monitorEvent
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		step := fmt.Sprint(e.Generation, " ", e.Event)
		switch {
		case e.Event == lineEvent:
			step += fmt.Sprint(" ", e.Stream, " ", e.Detail)
		case e.Event == "exited":
			step += fmt.Sprint(" ", *e.Code, e.Signal)
		case e.Delay != nil:
			step += fmt.Sprint(" ", *e.Delay, " ", e.Attempt)
		}
		steps = append(steps, step)
	}
	return steps
}

// flapping fails, dies of a signal, then succeeds; it counts in the file $COUNT.
const flapping = `printf x >>"$COUNT"
case $(wc -c <"$COUNT") in
1) echo one; exit 3;;
2) kill -9 $$;;
*) printf three >&2;;
esac`

func TestL4_3_MonitorKeepsAFlappingScriptAlive(t *testing.T) {
	t.Setenv("COUNT", filepath.Join(t.TempDir(), "count"))
	code, stdout, stderr := keep(t, flapping, append(quickly, "-json", "-stop-on-success", "-name", "flap")...)
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, []string{
		"1 started", "1 line stdout one", "1 exited 3", "1 backing off 0.01 1",
		"2 restarting", "2 started", "2 exited -1KILL", "2 backing off 0.015 2",
		"3 restarting", "3 started", "3 line stderr three", "3 exited 0", "3 stopped",
	}, steps(t, stdout))
	require.Regexp(t, `^flap: 3 starts; last: exited with code 0 after [0-9.]+[mµ]?s\n$`, stderr)
}

func TestMonitorPrintsForPeople(t *testing.T) {
	t.Setenv("COUNT", filepath.Join(t.TempDir(), "count"))
	code, stdout, stderr := keep(t, flapping, append(quickly, "-stop-on-success")...)
	require.Equal(t, exitOK, code, stderr)
	require.Regexp(t, `^sh: 3 starts; last: exited with code 0 after [0-9.]+[mµ]?s\n$`, stderr)
	require.Regexp(t, `(?m)^ +0\.[0-9]{3}  started       pid [0-9]+
o\| one
 +0\.[0-9]{3}  exited        exited with code 3 after [0-9.]+[mµ]?s
 +0\.[0-9]{3}  backing off   restart in 10ms \(attempt 1 failed\)
 +[0-9.]+  restarting
`, stdout)
	require.Regexp(t, `(?m)^e\| three\n.*exited with code 0.*\n.*  stopped\n$`, stdout)

	code, stdout, _ = keep(t, "echo hidden", "-stop-on-success", "-events-only", "-ready-line", "hid")
	require.Equal(t, exitOK, code)
	require.NotContains(t, stdout, "| hidden")
	require.Contains(t, stdout, "  ready ", "lines that are not printed count all the same")
}

func TestMonitorGivesUp(t *testing.T) {
	code, stdout, stderr := keep(t, "exit 5", append(quickly, "-json", "-max-attempts", "2")...)
	require.Equal(t, exitWrong, code)
	require.Equal(t, []string{
		"1 started", "1 exited 5", "1 backing off 0.01 1",
		"2 restarting", "2 started", "2 exited 5", "2 given up",
	}, steps(t, stdout))
	require.Regexp(t, `^sh: 2 starts; last: exited with code 5 after [0-9.]+[mµ]?s\n$`, stderr)
}

// TestL4_7_MonitorTriesACommandAgainThatCannotStart, as it does one that exits.
func TestL4_7_MonitorTriesACommandAgainThatCannotStart(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	code, stdout, stderr := demo(t, append(append([]string{"monitor", "-json", "-max-attempts", "2"}, quickly...), absent)...)
	require.Equal(t, exitWrong, code)
	require.Equal(t, []string{"1 start failed", "1 backing off 0.01 1", "2 restarting", "2 start failed", "2 given up"}, steps(t, stdout))
	require.Contains(t, stdout, "no such file or directory")
	require.Contains(t, stderr, "absent: 2 starts; last: not started: start ")
}

// hooked is a standard output that has something done at each write.
type hooked struct {
	bytes.Buffer
	onWrite func(text string) error
}

func (h *hooked) Write(p []byte) (int, error) {
	if err := h.onWrite(string(p)); err != nil {
		return 0, err
	}
	return h.Buffer.Write(p)
}

// keepUntilUp runs monitor with the shell script until that writes "up", then does what is given: signals are to be sent, or something breaks.
func keepUntilUp(t *testing.T, script string, up func(signals chan<- os.Signal) error, flags ...string) (stdout, stderr string, err error) {
	t.Helper()
	o, err := parseMonitor(append(flags, "--", "sh", "-c", script)...)
	require.NoError(t, err)
	signals := make(chan os.Signal, 2)
	out := &hooked{onWrite: func(text string) error {
		if text == "o| up\n" {
			return up(signals)
		}
		return nil
	}}
	var notes bytes.Buffer
	err = runMonitor(o, console{stdout: out, stderr: &notes}, signals, func() {})
	return out.String(), notes.String(), err
}

// interrupt sends so many signals.
func interrupt(times int) func(chan<- os.Signal) error {
	return func(signals chan<- os.Signal) error {
		for range times {
			signals <- os.Interrupt
		}
		return nil
	}
}

func requireExit(t *testing.T, code int, err error) {
	t.Helper()
	var exit *exitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, code, exit.code)
}

// stubborn ignores TERM.
const stubborn = `trap '' TERM; echo up; while :; do sleep 1; done`

func TestL4_6_MonitorStopsAtTheFirstInterrupt(t *testing.T) {
	stdout, stderr, err := keepUntilUp(t, `exec 2>/dev/null; trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.01; done`, interrupt(1))
	requireExit(t, exitInterrupted, err)
	require.NoError(t, errors.Unwrap(err))
	require.Regexp(t, `^interrupted: stopping sh; once more to kill it\nsh: 1 start; last: stopped by us .*\n$`, stderr)
	require.Regexp(t, `o\| bye\n.*  exited        stopped by us \(shutdown\): exited with code 4.*\n.*  stopped\n$`, stdout)

	_, stderr, err = keepUntilUp(t, stubborn, interrupt(1), "-kill-time", "20ms")
	requireExit(t, exitInterrupted, err)
	require.Contains(t, stderr, "last: stopped by us (shutdown): killed by signal 9 (KILL)")
}

func TestMonitorCallsOffARestartAtAnInterrupt(t *testing.T) {
	signals := make(chan os.Signal, 2)
	out := &hooked{onWrite: func(text string) error {
		if strings.Contains(text, "backing off") {
			signals <- os.Interrupt
		}
		return nil
	}}
	o, err := parseMonitor("sh", "-c", "exit 6")
	require.NoError(t, err)
	o.program.MinDelay = time.Hour // a test that waits for it fails
	var stderr bytes.Buffer
	requireExit(t, exitInterrupted, runMonitor(o, console{stdout: out, stderr: &stderr}, signals, func() {}))
	require.Contains(t, stderr.String(), "sh: 1 start; last: exited with code 6")
}

func TestMonitorKillsAtTheSecondInterrupt(t *testing.T) {
	stdout, _, err := keepUntilUp(t, stubborn, interrupt(2), "-kill-time", "1h")
	requireExit(t, exitInterrupted, err)
	require.Contains(t, stdout, "killed by signal 9 (KILL)")
}

// TestMonitorKillsWhatStartsAfterTheSecondInterrupt: the signals may come while a restart is under way.
func TestMonitorKillsWhatStartsAfterTheSecondInterrupt(t *testing.T) {
	signals := make(chan os.Signal, 2)
	r := &monitorRun{on: watchInterrupts(signals, func() {}, func() {})}
	defer r.on.stop()
	_ = interrupt(2)(signals)
	<-r.on.force.Done()
	p, err := r.start(process.Command{Path: "sleep", Args: []string{"60"}}, process.ManagedOptions{})
	require.NoError(t, err)
	<-p.Ended()
	require.Equal(t, process.Signal(unix.SIGKILL), p.Report().Signal)
}

// TestMonitorDoesNotWaitForItsReaderAtTheSecondInterrupt: nobody reads what it prints.
func TestMonitorDoesNotWaitForItsReaderAtTheSecondInterrupt(t *testing.T) {
	read := make(chan struct{})
	defer close(read)
	_, _, err := keepUntilUp(t, stubborn, func(signals chan<- os.Signal) error {
		_ = interrupt(2)(signals)
		<-read
		return nil
	}, "-kill-time", "1h")
	requireExit(t, exitInterrupted, err)
	require.ErrorContains(t, err, "ended at once")
}

func TestMonitorEndsWhenItCannotPrint(t *testing.T) {
	full := errors.New("disk full")
	stdout, _, err := keepUntilUp(t, `echo up; while :; do sleep 0.01; done`, func(chan<- os.Signal) error { return full })
	require.ErrorIs(t, err, full)
	require.Contains(t, stdout, "  stopped\n", "the program")
}

// startMonitor runs the demo as a process of its own that keeps a script alive, and returns the pid that the script says.
func startMonitor(t *testing.T, script string) (command *exec.Cmd, pid string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	command = exec.Command(self, "monitor", "--", "sh", "-c", script)
	command.Env = append(os.Environ(), asDemo+"=1")
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if pid, found := strings.CutPrefix(lines.Text(), "o| "); found {
			return command, pid
		}
	}
	t.Fatal("the script has said nothing")
	return nil, ""
}

func TestMonitoredProgramsGoWithTheDemo(t *testing.T) {
	const script = `echo $$; while :; do sleep 0.01; done`
	for _, signal := range []os.Signal{os.Interrupt, unix.SIGTERM} {
		command, pid := startMonitor(t, script)
		require.NoError(t, command.Process.Signal(signal))
		var exit *exec.ExitError
		require.ErrorAs(t, command.Wait(), &exit)
		require.Equal(t, exitInterrupted, exit.ExitCode())
		require.True(t, gone(pid), "it has waited for the program")
	}
	command, pid := startMonitor(t, script)
	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait())
	requireGone(t, []string{pid})
}

func TestMonitorLeavesNothingBehind(t *testing.T) {
	work := func() {
		code, _, stderr := keep(t, "sleep 60 & exit 1", append(quickly, "-max-attempts", "2")...)
		require.Equal(t, exitWrong, code, stderr)
		_, _, err := keepUntilUp(t, stubborn, interrupt(2))
		requireExit(t, exitInterrupted, err)
	}
	work() // what the first process of a program starts stays: the spawner, the poller
	goroutines, open := runtime.NumGoroutine(), descriptors(t)
	work()
	const asking = 1 // goroutine that Eventually has for the question
	require.Eventually(t, func() bool {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		return errors.Is(err, unix.ECHILD) && runtime.NumGoroutine() <= goroutines+asking && descriptors(t) <= open
	}, 5*time.Second, 5*time.Millisecond, "children, goroutines or descriptors are left")
}
