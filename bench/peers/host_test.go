package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
)

// hosts runs a test with each contender that has a host of its own and is installed.
func hosts(t *testing.T, test func(t *testing.T, c contender)) {
	withoutHost := func(c contender) bool { return c.version == nil }
	each(t, slices.DeleteFunc(slices.Clone(contenders), withoutHost), test)
}

func TestHostsMeasureTheirOwnCalls(t *testing.T) {
	hosts(t, func(t *testing.T, c contender) {
		require.Regexp(t, `^(Python )?\d`, c.version())
		s, err := c.start(workload{"64B", 3, 1, 1})
		require.NoError(t, err)
		f, err := gauge.Round(s.host, 10*time.Millisecond)
		require.NoError(t, err)
		times, err := s.host.Times()
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(times), 3, "each caller at least once")
		require.Positive(t, f.P50)
		require.Less(t, f.Rate, float64(len(times))/0.01, "all callers had their time")
		require.Less(t, f.CPU, 10*time.Second, "of few calls")
		require.NoError(t, s.close())
	})
}

func TestHostsThatAreStuckAreKilled(t *testing.T) {
	hosts(t, func(t *testing.T, c contender) {
		s, err := c.start(lone)
		require.NoError(t, err)
		_, err = s.host.round(context.Background(), 0)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Millisecond, gauge.ErrStuck)
		defer cancel()
		_, err = s.host.round(ctx, time.Hour)
		require.ErrorIs(t, err, gauge.ErrStuck)
		require.NoError(t, s.close(), "its workers are gone, too")
		require.NoDirExists(t, s.host.dir)
	})
}

func TestHostsSayWhatIsWrong(t *testing.T) {
	hosts(t, func(t *testing.T, c contender) {
		s, err := c.start(lone)
		require.NoError(t, err)
		_, err = s.host.ask(context.Background(), "juggle")
		require.ErrorContains(t, err, "juggle: ")
		require.NotErrorIs(t, err, context.Canceled)
		require.NoError(t, s.close())
	})
}

func TestInterpretersWithoutTheLibraryAreMissing(t *testing.T) {
	c := scripted("abacus", "beads", "an abacus", []string{"/nonexistent/python3", "false", "true"}, "host.py", "abacus")
	require.Equal(t, "an abacus", c.missing())
	require.Empty(t, c.version())
}
