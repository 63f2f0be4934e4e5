package pool

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// TestRealProcesses runs a pool over real processes once. What a pool does is tested with processes in memory; this shows that they are
// not too different from real ones.
func TestRealProcesses(t *testing.T) {
	gone := make(chan Exit, 10)
	env := append(os.Environ(), "GORACE=atexit_sleep_ms=0") // the race detector has every worker sleep a second as it exits
	p, err := New(Options{
		Name: "smoke", Command: process.Command{Self: "smoke", Env: env}, Min: 2, Max: 2, IdleTimeout: -1, Restart: Restart{Min: time.Millisecond},
		ExitHook: func(e Exit) { gone <- e },
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	if err := p.Ready(t.Context()); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("real processes are not supported on this system")
	} else {
		require.NoError(t, err)
	}
	echo := func(text string) {
		var got string
		require.NoError(t, p.Call(t.Context(), "echo", text, &got, CallOptions{}))
		require.Equal(t, text, got)
	}
	echo("hi")
	echo(strings.Repeat("large ", 100_000))

	hanging := make(chan error, 1)
	go func() { hanging <- p.Call(t.Context(), "hang", "", nil, CallOptions{}) }()
	var victim WorkerSnapshot
	require.Eventually(t, func() bool {
		for _, w := range p.Snapshot().Workers {
			if w.InFlight > 0 {
				victim = w
				return true
			}
		}
		return false
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, p.slots[victim.Slot].worker.proc.Signal(process.KILL))
	e := asError(t, <-hanging)
	require.Equal(t, victim.PID, e.PID)
	require.ErrorIs(t, e, ErrTransient)
	require.ErrorContains(t, e, "killed by signal 9 (KILL)")
	require.Equal(t, victim.PID, (<-gone).Report.PID)

	require.NoError(t, p.Ready(t.Context()))
	echo("hi again")
	require.NoError(t, p.Stop(t.Context()))
	for _, w := range p.Snapshot().Workers {
		require.Equal(t, StateStopped, w.State)
	}
	echo("and again")
	require.NoError(t, p.Ready(t.Context()))
	require.EqualValues(t, 5, p.Snapshot().Counters.Started, "two, one for the victim, and two after the stop")
}
