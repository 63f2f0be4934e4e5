package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// decodeChaos decodes chaos's line of JSON, and requires that all is zero that must be.
func decodeChaos(t *testing.T, line, stderr string) (v chaosVerdict) {
	t.Helper()
	require.Equal(t, 1, strings.Count(line, "\n"), stderr)
	require.Equal(t, chaosKeys, keysOf(t, line))
	require.NoError(t, json.Unmarshal([]byte(line), &v))
	values := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(line), &values))
	for _, key := range zeroKeys {
		require.Zero(t, values[key], "%s: %s", key, stderr)
	}
	return v
}

// evidence returns the directories that chaos has made under dir.
func evidence(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "broker-demo-chaos-*"))
	require.NoError(t, err)
	return found
}

func TestChaosIsSurvived(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	code, stdout, stderr := demo(t, "chaos", "-duration", "3s", "-seed", "1", "-json")
	require.Equal(t, exitOK, code, stderr)
	v := decodeChaos(t, stdout, stderr)
	require.EqualValues(t, 1, v.Seed)
	require.Greater(t, v.Faults, int64(10))
	require.Equal(t, v.Faults, v.Survived)
	require.Equal(t, v.Faults, sumOf(v.FaultsByKind))
	kinds := map[string]bool{}
	for _, f := range draw(1, int(v.Faults)) {
		kinds[f.kind] = true
	}
	require.Len(t, v.FaultsByKind, len(kinds), "the first of the sequence, in whichever order they were over")
	require.Equal(t, v.Calls, v.Answered+v.Failed)
	require.Greater(t, v.Answered, int64(100))
	require.Equal(t, v.Failed, sumOf(v.FailedByClass))
	require.GreaterOrEqual(t, v.Duration, 3.0)
	require.Contains(t, stderr, "seed 1: the same faults come again with -seed 1\n")
	require.Contains(t, stderr, "every fault was survived; nothing was lost, nothing is left\n")
	require.Empty(t, evidence(t, os.Getenv("TMPDIR")))
}

func TestInterruptedChaosHasAVerdict(t *testing.T) {
	const during = time.Second
	tests := []struct {
		name    string
		signals int
		after   time.Duration
		stderr  string
	}{
		{"at once", 1, 0, "interrupted; every fault was survived"},
		{"once", 1, during, "interrupted; every fault was survived"},
		{"twice", 2, during, "interrupted: finishing the faults and calls under way"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			o, err := parseChaos("-duration", "1h", "-workers", "2", "-json")
			require.NoError(t, err)
			signals := make(chan os.Signal, 2)
			time.AfterFunc(test.after, func() { // in the middle of it, or of the warm-up on a slow machine: either way there is a verdict
				for range test.signals {
					signals <- os.Interrupt
				}
			})
			var out, errs bytes.Buffer
			start := time.Now()
			err = runChaos(o, console{stdout: &out, stderr: &errs}, signals, func() {})
			require.Less(t, time.Since(start), time.Minute)
			var exit *exitError
			require.ErrorAs(t, err, &exit, errs.String())
			require.Equal(t, exitInterrupted, exit.code)
			require.Contains(t, errs.String(), test.stderr)
			if test.signals == 1 {
				decodeChaos(t, out.String(), errs.String())
			} else {
				require.Empty(t, out.String())
			}
			require.Empty(t, evidence(t, os.Getenv("TMPDIR")))
		})
	}
}

// What a stage makes of a ledger that says otherwise than the callers were told.
func TestChaosKeepsALedgerThatDisagrees(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	require.NoError(t, os.WriteFile(ledger, []byte("begin 1 0 70\nbegin 1 0 71\nbegin 1 1 70\nbegin 1 1 71\nend 1 1 70\nbegin 1 2 70\n"), 0o666))
	o, err := parseChaos("-seed", "3")
	require.NoError(t, err)
	stage, err := newStage(&o, "A=b")
	require.NoError(t, err)
	require.NoError(t, stage.crew.close())
	r := &chaosRun{session: &session{crew: stage.crew}, stage: stage, options: o, ledger: ledger}
	for _, f := range []fate{fateUnknown, fateAnswered, fateNotSent} {
		r.calls.book.end(r.calls.book.begin(), f)
	}
	v := r.verdict(leaks{})
	require.EqualValues(t, 1, v.Duplicated, "call 1; call 0 may be repeated")
	require.EqualValues(t, 1, v.Lost, "call 2 was said not to be executed")
	require.Len(t, v.problems, 2)
	require.Contains(t, v.wrongs(), "duplicated")
}

// A worker of chaos is found by its mark wherever it has gone, and a dead child by its parent.
func TestStockFindsProcesses(t *testing.T) {
	const mark = "BROKER_DEMO_STOCK=here"
	before, err := settledStock(t.Context(), mark)
	require.NoError(t, err)

	// The shell is gone when its child is found, and the child has another parent.
	shell := exec.Command("sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!")
	shell.Env = append(os.Environ(), mark)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, shell.Run())
	t.Cleanup(func() { _ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) })
	require.Eventually(t, func() bool { // in the middle of its exec the child has no environment
		now, err := takeStock(mark)
		return err == nil && now.since(before).processes == 1
	}, 10*time.Second, 5*time.Millisecond)
	other, err := takeStock(mark + "r")
	require.NoError(t, err)
	require.Zero(t, other.since(before).processes)

	dead := exec.Command("true")
	require.NoError(t, dead.Start())
	now, err := takeStock(mark)
	require.NoError(t, err)
	require.True(t, now.processes[dead.Process.Pid], "alive or not")
	require.NoError(t, dead.Wait())

	held, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer held.Close()
	now, err = takeStock(mark)
	require.NoError(t, err)
	require.EqualValues(t, 1, now.since(before).descriptors)
	require.NoError(t, syscall.Kill(-shell.Process.Pid, syscall.SIGKILL))
	require.NoError(t, held.Close())
	left, err := leftovers(mark, before)
	require.NoError(t, err)
	require.Zero(t, left.processes+left.descriptors)
}

func TestStockSince(t *testing.T) {
	before := stock{processes: map[int]bool{5: true, 6: true}, descriptors: 10, goroutines: 10, threads: 10}
	now := stock{processes: map[int]bool{6: true, 7: true}, descriptors: 11, goroutines: 12, threads: 13}
	require.Equal(t, leaks{1, 1, 2, 1}, now.since(before), "two threads are the runtime's own")
	require.Equal(t, "1 process, 1 descriptor, 2 goroutines, 1 thread", now.since(before).String())
	now.threads = 12
	require.Zero(t, now.since(before).threads)
	require.Equal(t, leaks{processes: 1}, before.since(now), "less is no leak")
}
