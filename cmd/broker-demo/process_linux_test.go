package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// startDemo runs the demo as a process of its own, with a ledger and two workers, and returns when both have written to it.
func startDemo(t *testing.T, args ...string) (command *exec.Cmd, stdout *bytes.Buffer, workers []string) {
	t.Helper()
	ledger := filepath.Join(t.TempDir(), "ledger")
	self, err := os.Executable()
	require.NoError(t, err)

	flags := []string{args[0], "-workers", "2", "-json", "-ledger", ledger}
	command = exec.Command(self, append(flags, args[1:]...)...)
	command.Env = append(os.Environ(), asDemo+"=1")
	stdout = new(bytes.Buffer)
	command.Stdout = stdout
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	require.Eventually(t, func() bool {
		workers = ledgerPIDs(t, ledger)
		return len(workers) >= 2
	}, 20*time.Second, 5*time.Millisecond, "two workers")
	return command, stdout, workers
}

// startRun runs it over and over a small corpus.
func startRun(t *testing.T) (command *exec.Cmd, stdout *bytes.Buffer, workers []string) {
	t.Helper()
	root, _, _ := corpus(t, 100)
	return startDemo(t, "run", "-for", "1m", "-verify", root)
}

// ledgerPIDs returns the process ids in the complete lines of a ledger.
func ledgerPIDs(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	pids := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); strings.HasSuffix(line, "\n") && len(fields) == 4 {
			pids[fields[3]] = true
		}
	}
	return slices.Collect(maps.Keys(pids))
}

// gone reports whether a process runs no more. A zombie, which waits for its
// parent to look, does not run.
func gone(pid string) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%s/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ") // behind the name, which may contain anything
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

func requireGone(t *testing.T, pids []string) {
	t.Helper()
	require.Eventually(t, func() bool { return !slices.ContainsFunc(pids, func(pid string) bool { return !gone(pid) }) },
		2*time.Second, 5*time.Millisecond, "workers %v are still there", pids)
}

func TestL2_9_WorkersGoWithAKilledDemo(t *testing.T) {
	command, _, workers := startRun(t)
	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait())
	requireGone(t, workers)
}

func TestInterruptedDemoFinishesAndExits130(t *testing.T) {
	command, stdout, workers := startRun(t)
	require.NoError(t, command.Process.Signal(os.Interrupt))
	var exit *exec.ExitError
	require.ErrorAs(t, command.Wait(), &exit)
	require.Equal(t, exitInterrupted, exit.ExitCode())
	s := decode(t, stdout.String())
	require.Positive(t, s.Files)
	require.Zero(t, s.Errors)
	require.True(t, s.Verified, "what was read was counted rightly")
	requireGone(t, workers)
}

func TestLoadsWorkersGoWithAKilledDemo(t *testing.T) {
	command, _, workers := startDemo(t, "load", "-duration", "1m", "-rate", "1000")
	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait())
	requireGone(t, workers)
}

func TestInterruptedLoadPrintsWhatItMeasuredAndExits130(t *testing.T) {
	for _, rate := range []string{"0", "1000"} {
		command, stdout, workers := startDemo(t, "load", "-duration", "1m", "-rate", rate)
		require.NoError(t, command.Process.Signal(os.Interrupt))
		var exit *exec.ExitError
		require.ErrorAs(t, command.Wait(), &exit)
		require.Equal(t, exitInterrupted, exit.ExitCode())
		s := decodeLoad(t, stdout.String())
		require.Positive(t, s.Calls)
		require.Empty(t, s.Errors)
		require.Zero(t, s.Lost)
		require.Less(t, s.Seconds, 60.0)
		requireGone(t, workers)
	}
}

func TestLoadKnowsTheCPUTime(t *testing.T) {
	code, stdout, stderr := demo(t, "load", "-workers", "1", "-duration", "100ms", "-json")
	require.Equal(t, exitOK, code, stderr)
	s := decodeLoad(t, stdout)
	require.NotNil(t, s.CPU)
	require.Positive(t, *s.CPU)
	require.Contains(t, stderr, "CPU per call: ")
}

// descriptors returns how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

func TestLoadAndCallLeaveNothingBehind(t *testing.T) {
	t.Setenv(asWorker, echoCrew)
	self, err := os.Executable()
	require.NoError(t, err)
	work := func() {
		ledger := filepath.Join(t.TempDir(), "ledger")
		code, _, stderr := demo(t, "load", "-workers", "2", "-duration", "50ms", "-rate", "2000", "-kill-every", "20", "-ledger", ledger)
		require.Equal(t, exitOK, code, stderr)
		code, _, stderr = demo(t, "call", "--", self, "echo", "1")
		require.Equal(t, exitOK, code, stderr)
	}
	work() // what the first process of a program starts stays: the spawner, the poller
	goroutines, open := runtime.NumGoroutine(), descriptors(t)
	work()
	err = unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	require.ErrorIs(t, err, unix.ECHILD, "no child, not even a dead one")
	const asking = 1 // goroutine that Eventually has for the question
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+asking && descriptors(t) <= open },
		5*time.Second, 5*time.Millisecond, "goroutines or descriptors are left")
}
