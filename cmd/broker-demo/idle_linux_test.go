package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIdle runs the command as a process of its own: it measures itself.
func TestIdle(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(self, "idle", "-workers", "20", "-duration", "300ms", "-calls", "200", "-json")
	command.Env = append(os.Environ(), asDemo+"=1")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	require.NoError(t, command.Run(), stderr.String())

	var s idleSummary
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &s), stdout.String())
	require.Equal(t, 20, s.Workers)
	require.Equal(t, 20, s.Used, "each has had a call")
	require.EqualValues(t, 200, s.Calls)
	require.Zero(t, s.Failed)
	require.Zero(t, s.Left)
	require.Positive(t, s.Threads)
	require.GreaterOrEqual(t, s.ThreadsMax, s.Threads)
}

func TestChildren(t *testing.T) {
	before, err := children()
	require.NoError(t, err)
	sleeper := exec.Command("sleep", "60")
	require.NoError(t, sleeper.Start())
	shell, err := exec.LookPath("sh")
	require.NoError(t, err)
	odd := filepath.Join(t.TempDir(), "a) S 1 b") // reads like the fields behind the name
	require.NoError(t, os.Symlink(shell, odd))
	reader := exec.Command(odd, "-c", "read line")
	input, err := reader.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, reader.Start())
	during, err := children()
	require.NoError(t, input.Close())
	_ = reader.Wait() // its input has ended: it fails
	require.NoError(t, sleeper.Process.Kill())
	_ = sleeper.Wait()
	require.NoError(t, err)
	require.Equal(t, before+2, during)
}
