package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// manage starts a command with managed streams for the length of a test.
func manage(t *testing.T, c Command, o ManagedOptions) *Managed {
	t.Helper()
	m, err := StartManaged(c, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := m.Do(Kill); err != nil && !errors.Is(err, ErrExited) {
			t.Error(err)
		}
		m.Resume()
		wait(t, m.Ended())
	})
	return m
}

func manageSh(t *testing.T, script string, o ManagedOptions) *Managed {
	t.Helper()
	return manage(t, Command{Path: "sh", Args: []string{"-c", script}}, o)
}

func TestL5_3_L5_5_MegabyteThroughCat(t *testing.T) {
	want := make([]byte, 1<<20)
	for i := range want {
		want[i] = byte(i * i >> 8)
	}
	for name, feed := range map[string]func(m *Managed) error{
		"written": func(m *Managed) error {
			_, err := m.Write(t.Context(), want)
			return err
		},
		"copied": func(m *Managed) error {
			_, err := io.Copy(m.Input(t.Context()), bytes.NewReader(want))
			return err
		},
		"attached": func(m *Managed) error {
			src, fed := io.Pipe()
			if err := m.Attach(src); err != nil {
				return err
			}
			_, err := fed.Write(want)
			return errors.Join(err, fed.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got collected
			m := manage(t, Command{Path: "cat"}, got.options())
			require.NoError(t, feed(m))
			if name == "attached" {
				require.True(t, eventually(func() bool { return len(got.stdout()) == len(want) }), "the end of a source closes nothing")
			}
			require.NoError(t, m.CloseStdin())
			require.True(t, ended(t, m.Process).Success())
			require.True(t, string(want) == got.stdout(), "what came back is not what was sent")
			require.Equal(t, [3][]error{{nil}, {nil}, {nil}}, got.lost)
		})
	}
}

func TestL5_3_BackPressureOfAChildThatDoesNotRead(t *testing.T) {
	var got collected
	m := manage(t, Command{Path: "sleep", Args: []string{"300"}}, got.options())
	ctx, cancel := context.WithCancel(t.Context())
	waiting := writing(ctx, m, make([]byte, 1<<20))
	require.True(t, eventually(func() bool { return queued(m) > defaultHighWater }))
	require.LessOrEqual(t, queued(m), 2*defaultHighWater)
	require.Empty(t, waiting)
	cancel()
	r := <-waiting
	require.ErrorIs(t, r.err, context.Canceled)
	require.LessOrEqual(t, r.n, pipeSize+2*defaultHighWater+writePiece)
	begun := time.Now()
	require.NoError(t, m.Do(Kill))
	require.Equal(t, KILL, ended(t, m.Process).Signal)
	require.Less(t, time.Since(begun), defaultDrainTimeout, "nobody else reads it")
	require.ErrorIs(t, got.losses(0)[0], syscall.EPIPE)
}

func TestL5_5_ChildSeesEPIPE(t *testing.T) {
	for script, want := range map[string]func(r Report) bool{
		"exec yes": func(r Report) bool { return r.Signal == Signal(unix.SIGPIPE) },
		`trap "" PIPE; while echo x; do :; done 2>/dev/null; exit 7`: func(r Report) bool { return r.Code == 7 },
	} {
		var got collected
		m := manageSh(t, script, got.options())
		require.True(t, eventually(func() bool { return got.stdout() != "" }))
		require.NoError(t, m.CloseStdout())
		r := ended(t, m.Process)
		require.True(t, want(r), "%s: %s", script, r)
		require.Equal(t, [3][]error{{nil}, {nil}, {nil}}, got.lost)
	}
}

func TestL5_6_RealExitWhilePaused(t *testing.T) {
	for _, resume := range []bool{true, false} {
		var got collected
		o := got.options()
		o.DrainTimeout = 100 * time.Millisecond
		if resume {
			o.DrainTimeout = patience
		}
		m := manageSh(t, "read line; echo $line; echo said >&2; exit 3", o)
		m.Pause()
		_, err := io.WriteString(m.Input(t.Context()), "hello\n")
		require.NoError(t, err)
		wait(t, m.Exited())
		require.Equal(t, 3, m.Report().Code)
		if resume {
			require.Empty(t, got.stdout()+got.stderr())
			m.Resume()
		}
		begun := time.Now()
		r := ended(t, m.Process)
		require.Less(t, time.Since(begun), patience/2)
		require.False(t, r.Held)
		require.Equal(t, "hello\n", got.stdout(), "it is passed on in the end")
		require.Equal(t, "said\n", got.stderr())
	}
}

func TestL5_7_P30_GrandchildHoldsAllPipes(t *testing.T) {
	var got collected
	o := got.options()
	o.DrainTimeout = 100 * time.Millisecond
	o.SpareStrays = true
	o.ExtraEnv = asProgram("grandchild")
	begun := time.Now()
	m := manage(t, Command{Path: testBinary(t), Args: []string{"leave", "exit"}}, o)
	_, err := m.Write(t.Context(), make([]byte, 2*pipeSize))
	require.NoError(t, err)
	wait(t, m.Exited())
	r := ended(t, m.Process)
	require.GreaterOrEqual(t, time.Since(begun), r.Uptime+o.DrainTimeout)

	pid, err := strconv.Atoi(strings.TrimSpace(got.stdout()))
	require.NoError(t, err, "its output was passed on at once")
	require.False(t, gone(pid))
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	require.Equal(t, "last words\n", got.stderr())
	require.True(t, r.Held)
	require.Equal(t, []error{ErrHeld}, got.losses(1))
	require.Equal(t, []error{ErrHeld}, got.losses(2))
	require.Len(t, got.losses(0), 1)
	require.ErrorIs(t, got.losses(0)[0], os.ErrClosed)
}

func TestL5_1_ManagedProcessLeavesNoDescriptors(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the garbage collector closes files too
	before := descriptors()
	for range 5 {
		m := manage(t, Command{Path: "true"}, ManagedOptions{})
		ended(t, m.Process) // nobody closes anything
	}
	require.Equal(t, before, descriptors())

	_, err := StartManaged(Command{Path: "/no/such/program"}, ManagedOptions{})
	var start *StartError
	require.ErrorAs(t, err, &start)
	require.Equal(t, before, descriptors())
}

func TestL5_9_IdleManagedChildIsThreeGoroutinesInThePoller(t *testing.T) {
	needsLinux(t)
	// Enough of them that one blocked thread each would stand out from those the runtime starts for itself.
	const children = 16
	before := threads(t)
	for range children {
		m := manage(t, Command{Path: "cat"}, ManagedOptions{})
		_, err := m.Write(t.Context(), []byte("x"))
		require.NoError(t, err)
	}
	waiting := regexp.MustCompile(`goroutine \d+ \[IO wait[^\]]*\]:`)
	ours := regexp.MustCompile(`\((\*Process|\*output|\*input)\)\.`)
	require.True(t, eventually(func() bool {
		buf := make([]byte, 1<<20)
		idle, busy := 0, 0
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			switch {
			case !ours.MatchString(stack):
			case waiting.MatchString(stack):
				idle++
			default:
				busy++
			}
		}
		return idle == 3*children && busy == 0
	}))
	require.Less(t, threads(t)-before, children)
}

func TestL5_2_ParsedSignals(t *testing.T) {
	for _, text := range []string{"USR1", "SIGUSR1", "usr1", strconv.Itoa(int(unix.SIGUSR1))} {
		s, err := ParseSignal(text)
		require.NoError(t, err)
		var got collected
		m := manageSh(t, "trap 'exit 7' USR1; echo ready; while :; do sleep 300 & wait; done", got.options())
		require.True(t, eventually(func() bool { return got.stdout() == "ready\n" }))
		require.NoError(t, m.Signal(s))
		require.Equal(t, 7, ended(t, m.Process).Code)
		require.ErrorIs(t, m.Signal(s), ErrExited)
	}
}
