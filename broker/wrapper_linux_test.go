package broker_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/testworkers/handlers"
	"github.com/stdcrew/stdcrew/worker"
)

// playWrapped is a worker program as others are: not this one again, but one that a command names.
func playWrapped() int {
	w := worker.New(worker.Options{})
	handlers.Crash(w)
	w.Run()
	return 0
}

// wrappers are shell commands that run the worker program in $0. The shell gives a background job no standard input of its own accord.
var wrappers = map[string]string{
	"background": `exec 3<&0; "$0" <&3 3<&- & wait`,
	"foreground": `"$0"; exit $?`,
	"two of it":  `sh -c '"$0"; exit $?' "$0"; exit $?`,
}

// wrappedCrew returns a broker with a wrapped worker that has a grandchild, and a function that says which processes of it there are.
func wrappedCrew(t *testing.T, script string) (*broker.Broker, func() []string) {
	t.Helper()
	unique := fmt.Sprintf("BROKER_TEST_WRAPPED=%s.%d", t.Name(), os.Getpid())
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"crash": {
		Command: broker.Command{
			Path: "sh",
			Args: []string{"-c", script, os.Args[0]},
			Env:  append(os.Environ(), envPlay+"=wrapped", unique),
		},
		Max: 1,
	}}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	out, err := broker.Call[handlers.GrandchildOutput](t.Context(), b, "crash.grandchild", handlers.GrandchildInput{Leave: true})
	require.NoError(t, err)
	require.False(t, gone(out.PID))
	processes := func() []string { return running(unique) }
	require.GreaterOrEqual(t, len(processes()), 3, "wrapper, worker and grandchild")
	return b, processes
}

func TestP30_WrappedWorkersAreStoppedWhole(t *testing.T) {
	for name, script := range wrappers {
		t.Run(name, func(t *testing.T) {
			b, processes := wrappedCrew(t, script)
			require.NoError(t, b.Close(), "nobody had to be forced")
			require.True(t, eventually(func() bool { return len(processes()) == 0 }), "still there: %v", processes())
		})
	}
}

func TestP30_WrappedWorkersDieWithTheirWrapper(t *testing.T) {
	for name, script := range wrappers {
		t.Run(name, func(t *testing.T) {
			b, processes := wrappedCrew(t, script)
			wrapper := b.Snapshot().Pools["crash"].Workers[0].PID
			failed := make(chan error, 1)
			// Ends with the wrapper, or when the broker is closed.
			go func() { failed <- b.Call(t.Context(), "crash.sleep", 3600_000, nil) }()
			require.True(t, eventually(func() bool { return b.Snapshot().Pools["crash"].Workers[0].InFlight == 1 }))
			require.NoError(t, unix.Kill(wrapper, unix.SIGKILL))
			require.ErrorIs(t, <-failed, broker.ErrTransient)
			require.True(t, eventually(func() bool { return len(processes()) == 0 }), "still there: %v", processes())
		})
	}
}
