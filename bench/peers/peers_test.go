package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/bench/internal/rawpipe"
	"github.com/stdcrew/stdcrew/worker"
)

func TestMain(m *testing.M) {
	worker.Main(crewWorkers)
	asServer()
	os.Exit(m.Run())
}

func TestEveryContenderAnswersEveryPayload(t *testing.T) {
	each(t, contenders, func(t *testing.T, c contender) {
		for _, w := range []workload{{"64B", 3, 2, 1}, {"4KiB", 3, 1, 64}, {"1MiB", 1, 1, 1}, {recordPayload, 3, 2, 64}} {
			s, err := c.start(w)
			needsSupport(t, err)
			require.NoError(t, err)
			l := s.load(w)
			for range 2 {
				_, err = l.Run(0)
				needsSupport(t, err) // stdcrew starts its workers meanwhile
				require.NoError(t, err, "%v", w)
			}
			pids := s.pids()
			require.Len(t, pids, w.Workers)
			require.NoError(t, s.close())
		}
	})
}

// each runs a test with each of these contenders that is installed.
func each(t *testing.T, among []contender, test func(t *testing.T, c contender)) {
	for _, c := range among {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.missing != nil && c.missing() != "" {
				t.Skipf("facility missing: %s, which is what would answer here", c.missing())
			}
			test(t, c)
		})
	}
}

// needsSupport skips the test of a contender that this system cannot run.
func needsSupport(t *testing.T, err error) {
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("facility missing for this contender, and no other can stand in for it: %v", err)
	}
}

func TestMeasureComparesWithTheFloor(t *testing.T) {
	if rawpipe.Unsupported != nil {
		t.Skipf("facility missing: POSIX system calls; without them there is no floor to compare with: %v", rawpipe.Unsupported)
	}
	w := workload{"64B", 4, 2, 1}
	results, err := measure(w, contenders[:2], 2, 5*time.Millisecond)
	require.NoError(t, err)
	require.Len(t, results, 2)
	for _, r := range results {
		require.Len(t, r.Rounds, 2)
		require.Positive(t, r.Median.P50)
		require.GreaterOrEqual(t, r.Median.P99, r.Median.P50)
		require.Positive(t, r.Median.Rate)
		require.Positive(t, r.Ratio.Rate)
	}
	require.Zero(t, results[1].Ratio.P50, "two callers of the floor beside four that wait")

	rep := newReport(settings{rounds: 2}, choice{contenders: contenders[:2], skipped: map[string]string{"abacus": "beads"}})
	rep.Results = results
	var out bytes.Buffer
	require.NoError(t, rep.Print(&out))
	require.Contains(t, out.String(), "stdcrew")
	require.Contains(t, out.String(), "Left out: abacus (beads)")
}

func TestEveryContenderRecovers(t *testing.T) {
	each(t, contenders, func(t *testing.T, c contender) {
		start, recovery, err := life(c)
		needsSupport(t, err)
		require.NoError(t, err)
		require.Positive(t, start)
		require.Positive(t, recovery)
	})
}

func TestAnswersAreChecked(t *testing.T) {
	for _, payload := range []string{"64B", recordPayload} {
		w := workload{payload, 2, 1, 1}
		require.Error(t, callOf(w, 0)(context.Background(), liar{w}), "somebody else's answer")
	}
	sent := bytesOf(8, 0)
	require.Error(t, checkBytes(sent, append(bytesOf(7, 0), 'x'), true))
	require.Error(t, checkBytes(sent, nil, false))
	require.NoError(t, checkBytes(sent, bytesOf(8, 0), true))
}

// liar answers every caller as if it were the second.
type liar struct{ w workload }

func (l liar) echo(context.Context, []byte) ([]byte, error) {
	return bytesOf(payloads[l.w.Payload], 1), nil
}

func (liar) turn(context.Context, *Record) (*Record, error) {
	r := recordOf(1)
	return &r, nil
}

func TestChoice(t *testing.T) {
	c, err := settings{rounds: 1, only: "^stdcrew$", workloads: "c256/w8"}.choose()
	require.NoError(t, err)
	require.Len(t, c.contenders, 2, "the floor is always there")
	require.Equal(t, []string{"64B/c256/w8/f1", "4KiB/c256/w8/f1", "64B/c256/w8/f64"}, c.workloads)
	c, err = settings{rounds: 1, all: true}.choose()
	require.NoError(t, err)
	for _, w := range shown {
		require.Contains(t, c.workloads, w.String())
	}
	_, err = settings{rounds: 1, workloads: "none"}.choose()
	require.EqualError(t, err, "-workloads none: there is none of that name")
	_, err = settings{only: "("}.choose()
	require.ErrorContains(t, err, "-only")
	_, err = settings{}.choose()
	require.ErrorContains(t, err, "-rounds 0")
}
