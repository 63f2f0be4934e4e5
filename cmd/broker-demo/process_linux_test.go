package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startDemo runs the demo as a process of its own, over and over a small
// corpus, and returns when workers of it have written to the ledger.
func startDemo(t *testing.T) (command *exec.Cmd, stdout *bytes.Buffer, workers []string) {
	t.Helper()
	root, _, _ := corpus(t, 100)
	ledger := filepath.Join(t.TempDir(), "ledger")
	self, err := os.Executable()
	require.NoError(t, err)

	command = exec.Command(self, "run", "-for", "1m", "-workers", "2", "-verify", "-json", "-ledger", ledger, root)
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
	command, _, workers := startDemo(t)
	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait())
	requireGone(t, workers)
}

func TestInterruptedDemoFinishesAndExits130(t *testing.T) {
	command, stdout, workers := startDemo(t)
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
