package main

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/bench/internal/placement"
	"github.com/stdcrew/stdcrew/bench/internal/rawpipe"
	"github.com/stdcrew/stdcrew/worker"
)

func TestMain(m *testing.M) {
	worker.Main(workers)
	if len(os.Args) == 3 && os.Args[1] == pongCommand {
		exit(rawpipe.Echo(os.Args[2]))
	}
	os.Exit(m.Run())
}

func TestMeasure(t *testing.T) {
	s := settings{rounds: 2, calls: 20, size: 64, placement: placement.Free}
	if rawpipe.Unsupported != nil {
		t.Skipf("facility missing: POSIX system calls; without them there is nothing to compare with: %v", rawpipe.Unsupported)
	}
	results, err := measure(s)
	require.NoError(t, err)
	require.Len(t, results, len(contenders))
	for _, r := range results {
		require.Len(t, r.Rounds, s.rounds)
		require.Positive(t, r.Median.P50, r.Name)
		require.GreaterOrEqual(t, r.Median.P99, r.Median.P50, r.Name)
		require.Positive(t, r.Ratio.Mean, r.Name)
	}
	require.Equal(t, 1.0, results[0].Ratio.P50, "the floor is its own")

	var out bytes.Buffer
	require.NoError(t, printTable(&out, s, results))
	require.Contains(t, out.String(), "broker.Call")
	require.Contains(t, out.String(), "× the floor")
}

func TestSettingsAreChecked(t *testing.T) {
	require.NoError(t, settings{rounds: 1, calls: 1, size: 64}.check())
	require.EqualError(t, settings{size: maxSize + 1}.check(), "-rounds 0: at least one is needed\n"+
		"-calls 0: at least one is needed\n"+
		"-size 4097: must be 1 to 4096, which a pipe takes at once")
}

func TestMeasureDeaths(t *testing.T) {
	d, err := measureDeaths(3)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("facility missing: worker processes; without them nothing dies: %v", err)
	}
	require.NoError(t, err)
	for name, f := range map[string]gauge.Figures{"bare": d.Bare, "call": d.Call, "start": d.Start, "replace": d.Replace} {
		require.Positive(t, f.P50, name)
	}
	require.Greater(t, d.Replace.P50, d.Call.P50, "the next answer comes after the error")

	var out bytes.Buffer
	require.NoError(t, printDeaths(&out, 3, d))
	require.Contains(t, out.String(), "KILL to the call's error")
}
