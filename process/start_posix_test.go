//go:build darwin || (linux && posixprocess)

package process

import (
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// These are for systems on which the tests for Linux do not run.

func TestProcessesLiveAndDie(t *testing.T) {
	for script, want := range map[string]Report{
		"exec cat":              {Code: 0},
		"cat; exit 7":           {Code: 7},
		"cat; kill -TERM $$":    {Code: noCode, Signal: TERM},
		"sleep 300 & cat; wait": {Code: noCode, Signal: KILL, Killer: KillerAsked},
	} {
		for _, guard := range []bool{false, true} {
			p, err := Start(Command{Path: "sh", Args: []string{"-c", "echo begun >&2; " + script}}, Options{Guard: guard})
			require.NoError(t, err)
			_, err = io.WriteString(p.Stream(), "hello\n")
			require.NoError(t, err)
			require.NoError(t, p.Stream().CloseWrite())
			line := make([]byte, len("hello\n"))
			_, err = io.ReadFull(p.Stream(), line)
			require.NoError(t, err)
			require.Equal(t, "hello\n", string(line))
			if want.Killer != "" {
				require.NoError(t, p.Do(Kill))
			}
			_, err = io.Copy(io.Discard, p.Stream())
			require.NoError(t, err, "at its end, since nobody of the group is left")
			<-p.Ended()
			require.NoError(t, p.Stream().Close())
			r := p.Report()
			require.Equal(t, want, Report{Code: r.Code, Signal: r.Signal, Killer: r.Killer}, script)
			require.Equal(t, "begun\n", r.StderrTail)
			require.Nil(t, r.Strays)
			require.ErrorIs(t, p.Signal(TERM), ErrExited)
		}
	}
}

func TestL5_10_PipesAreClosedOnExec(t *testing.T) {
	var pipes stdio
	require.NoError(t, pipes.open())
	defer pipes.closeOurs()
	defer pipes.closeTheirs()
	for _, ends := range []pipe{pipes.stdin, pipes.stdout, pipes.stderr} {
		for fd, blocking := range map[int]bool{ends.ours: false, ends.theirs: true} {
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			require.NoError(t, err)
			require.NotZero(t, flags&unix.FD_CLOEXEC)
			status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			require.NoError(t, err)
			require.Equal(t, blocking, status&unix.O_NONBLOCK == 0)
		}
	}
}

func TestWhatTheSystemLacksIsNamed(t *testing.T) {
	for field, limits := range map[string]Limits{
		"Limits.Memory":     {Memory: 1 << 30},
		"Limits.Rlimits":    {Rlimits: map[string]Rlimit{"nofile": {Soft: 64, Hard: 64}}},
		"Limits.NoNewPrivs": {NoNewPrivs: true},
	} {
		_, err := Start(Command{Path: "true", Limits: limits}, Options{Guard: true})
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, field)
		var start *StartError
		require.ErrorAs(t, err, &start)
	}
	_, err := Start(Command{Path: "true", Limits: Limits{Memory: -1}}, Options{})
	require.ErrorIs(t, err, fs.ErrInvalid)

	p, err := Start(Command{Path: "cat"}, Options{})
	require.NoError(t, err)
	_, err = p.RSS()
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, tells := p.Stream().(interface{ Unread() (int, bool, error) })
	require.False(t, tells, "how much of what was written has been read")
	require.NoError(t, p.Stream().Close())
	<-p.Ended()
	_, err = p.RSS()
	require.ErrorIs(t, err, ErrExited)
}
