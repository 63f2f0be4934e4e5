package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hosts runs a test with each contender that has a host of its own and is installed.
func hosts(t *testing.T, test func(t *testing.T, c contender)) {
	for _, c := range contenders {
		if c.version == nil || c.missing() != "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			test(t, c)
		})
	}
}

func TestHostsMeasureTheirOwnCalls(t *testing.T) {
	hosts(t, func(t *testing.T, c contender) {
		require.Regexp(t, `^(Python )?\d`, c.version())
		s, err := c.start(workload{"64B", 3, 1, 1})
		require.NoError(t, err)
		m := newMeter(workload{"64B", 3, 1, 1}, s)
		f, err := m.round(10 * time.Millisecond)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(m.all), 3, "each caller at least once")
		require.Positive(t, f.P50)
		require.Less(t, f.Rate, float64(len(m.all))/0.01, "all callers had their time")
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
		ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Millisecond, errStuck)
		defer cancel()
		_, err = s.host.round(ctx, time.Hour)
		require.ErrorIs(t, err, errStuck)
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
