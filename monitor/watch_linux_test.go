package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/process"
)

// sh is a shell script as a command.
func sh(text string) process.Command {
	return process.Command{Path: "/bin/sh", Args: []string{"-c", text}}
}

// nothingLeft sees to it that the test leaves no child, no descriptor and no goroutine behind.
func nothingLeft(t *testing.T) {
	before := takeStock()
	t.Cleanup(func() { require.Empty(t, before.leftovers()) })
}

func TestL1_7_L1_14_WatchAScript(t *testing.T) {
	nothingLeft(t)
	handler, lines := keepLines()
	r, err := Watch(t.Context(), sh(`read -r name; echo "hello, $name"; echo two; echo three >&2; printf last`), WatchOptions{
		Line:      handler,
		Stdin:     strings.NewReader("world\n"),
		MaxOutput: 1000,
	})
	require.NoError(t, err)
	require.Equal(t, []Line{{Stdout, "hello, world"}, {Stdout, "two"}, {Stdout, "last"}}, *lines)
	require.Equal(t, "hello, world\ntwo\nlast", string(r.Output))
	require.Zero(t, r.Dropped)
	require.Equal(t, "three\n", r.Report.StderrTail)
}

func TestL1_14_AllLinesOfAScriptAreHandled(t *testing.T) {
	nothingLeft(t)
	for _, code := range []int{0, 3} {
		count := 0
		o := WatchOptions{MaxQueue: 3, AllLines: true, Line: func(_ context.Context, _ *Watcher, l Line) error {
			count++
			if l.Text != fmt.Sprint("line ", count) {
				return fmt.Errorf("line %d is %q", count, l.Text)
			}
			return nil
		}}
		_, err := Watch(t.Context(), sh(fmt.Sprintf("for i in $(seq 20000); do echo line $i; done; exit %d", code)), o)
		require.Equal(t, code == 0, err == nil, "%v", err)
		require.Equal(t, 20_000, count)
	}
}

func TestL1_1_ScriptThatIgnoresTheSignalIsKilled(t *testing.T) {
	nothingLeft(t)
	const grace = 300 * time.Millisecond
	bad := errors.New("bad")
	begun := time.Now()
	r, err := Watch(t.Context(), sh(`trap '' INT; echo ready; while :; do sleep 0.01; done`), WatchOptions{
		Grace: grace,
		Line: func(context.Context, *Watcher, Line) error {
			begun = time.Now()
			return bad
		},
	})
	require.ErrorIs(t, err, bad)
	require.Equal(t, process.KILL, r.Report.Signal)
	require.GreaterOrEqual(t, time.Since(begun), grace)
}

func TestL1_13_ScriptIsTerminated(t *testing.T) {
	nothingLeft(t)
	o := WatchOptions{
		Inactivity: time.Hour,
		Line:       func(_ context.Context, w *Watcher, _ Line) error { return w.Terminate() },
	}
	r, err := Watch(t.Context(), sh(`echo ready; exec sleep 1000`), o)
	require.ErrorIs(t, err, ErrTerminated)
	require.Equal(t, process.INT, r.Report.Signal)

	_, err = Watch(t.Context(), sh(`trap 'exit 0' INT; echo ready; while :; do sleep 0.01; done`), o)
	require.NoError(t, err)
}

// A stopped process gets the signal too.
func TestL1_1_StoppedScriptHeedsTheSignal(t *testing.T) {
	nothingLeft(t)
	w, err := StartWatch(t.Context(), sh(`exec sleep 1000`), WatchOptions{Grace: time.Hour})
	require.NoError(t, err)
	require.NoError(t, w.p.Signal(process.Signal(unix.SIGSTOP)))
	require.NoError(t, w.Terminate())
	r, err := w.Wait()
	require.ErrorIs(t, err, ErrTerminated)
	require.Equal(t, process.INT, r.Report.Signal)
}

func TestL1_2_AFailureToSignalIsReturned(t *testing.T) {
	nothingLeft(t)
	log, text := textLog()
	o := WatchOptions{Options: process.Options{Log: log}, Signal: 99, Grace: -1} // there is no such signal
	w, err := StartWatch(t.Context(), sh(`exec sleep 1000`), o)
	require.NoError(t, err)
	require.ErrorIs(t, w.Terminate(), syscall.EINVAL)
	r, _ := w.Wait()
	require.Equal(t, process.KILL, r.Report.Signal, "it is killed all the same")

	o.Inactivity = time.Millisecond
	_, err = Watch(t.Context(), sh(`exec sleep 1000`), o)
	require.ErrorIs(t, err, ErrInactive)
	require.True(t, eventually(func() bool { return strings.Contains(text(), "signal not sent") }))
}

// A process that has left the group and holds the output does not hold up the watch.
func TestL1_4_CompletionIsBounded(t *testing.T) {
	nothingLeft(t)
	in, out := io.Pipe()
	var pid int
	r, err := Watch(t.Context(), sh(`setsid sh -c 'echo $$; exec sleep 1000' & exec cat`), WatchOptions{
		Options: process.Options{DrainTimeout: 50 * time.Millisecond, SpareStrays: true},
		Stdin:   in,
		Line: func(_ context.Context, _ *Watcher, l Line) error {
			_, err := fmt.Sscan(l.Text, &pid)
			return errors.Join(err, out.Close())
		},
	})
	require.NoError(t, err)
	require.True(t, r.Report.Held)
	require.Positive(t, pid)
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
}

func TestWatchedProgramThatIsNotThere(t *testing.T) {
	nothingLeft(t)
	_, err := Watch(t.Context(), process.Command{Path: "/no/such"}, WatchOptions{Stdin: &bytes.Buffer{}})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, `watch "/no/such": `)
}

// A context that ends while the process starts, runs or ends: one result, and nothing left.
func TestL1_13_ContextEndsAtAnyTime(t *testing.T) {
	nothingLeft(t)
	for i := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*200*time.Microsecond)
		_, err := Watch(ctx, sh(`echo a; echo b; echo c`), WatchOptions{Line: waits(time.Millisecond, nil), Inactivity: time.Second})
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	}
}
