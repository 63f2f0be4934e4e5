package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// addReady adds the program "web" with options about its readiness.
func (r *rig) addReady(s script, o ProgramOptions) {
	r.t.Helper()
	r.scripts["web"] = s
	require.NoError(r.t, r.Add("web", process.Command{Path: "web"}, o))
}

func TestReady_Line(t *testing.T) {
	program := func(c process.Command, m *process.Memory) int {
		fmt.Fprintln(m.Stdout, "loading")
		time.Sleep(3 * second)
		fmt.Fprintln(m.Stderr, "listening on :8080")
		return heedsTerm(c, m)
	}
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		r.addReady(program, ProgramOptions{ReadyLine: regexp.MustCompile(`^listening`)})
		r.Start()
		require.Equal(t, StateStarting, r.state("web"))
		time.Sleep(3 * second)
		require.Equal(t, StateRunning, r.state("web"))
		require.Equal(t, []time.Duration{3 * second}, times[Ready](r, "web"))
		require.Equal(t, Ready{After: 3 * second}, r.what("web")[1])
		time.Sleep(2 * time.Minute)
		require.Equal(t, StateRunning, r.state("web"), "ReadyTimeout is no longer of interest")
	})
}

// A program that says that it is ready, and dies at once, was ready.
func TestReady_InItsLastMoment(t *testing.T) {
	program := func(_ process.Command, m *process.Memory) int {
		time.Sleep(2 * second)
		fmt.Fprint(m.Stdout, "ready")
		return 1
	}
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		r.addReady(program, ProgramOptions{ReadyLine: regexp.MustCompile(`ready`)})
		r.Start()
		time.Sleep(2 * second)
		require.Equal(t, []string{"Started", "Line", "Ready", "Exited", "Restarting", "Started"}, r.kinds())
	})
}

// kinds names the types of all events so far.
func (r *rig) kinds() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return kinds(r.events)
}

func TestReady_TimeoutIsAnEarlyDeath(t *testing.T) {
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		r.addReady(ignoresTerm, ProgramOptions{ReadyLine: regexp.MustCompile(`never`), ReadyTimeout: 10 * second})
		r.Start()
		time.Sleep(40 * second)
		require.Equal(t, []time.Duration{0, 16 * second, 33 * second}, times[Started](r, "web"), "10 second, 5 second until KILL, then 1 second and 2 s")
		require.Empty(t, times[Ready](r, "web"))
		require.Equal(t, process.KillerStart, r.status("web").LastReport.Killer)
		require.Equal(t, process.KILL, r.status("web").LastReport.Signal)
	})
}

func TestReady_WithoutTimeout(t *testing.T) {
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		r.addReady(heedsTerm, ProgramOptions{ReadyLine: regexp.MustCompile(`never`), ReadyTimeout: -1})
		r.Start()
		time.Sleep(time.Hour)
		require.Equal(t, StateStarting, r.state("web"))
	})
}

// TestReady_File: a file that was there before does not count, one that is made or changed does.
func TestReady_File(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "web.pid")
	require.NoError(t, os.WriteFile(path, []byte("of an earlier run"), 0o600))
	program := func(c process.Command, m *process.Memory) int {
		time.Sleep(2*second - second/20)
		if err := os.WriteFile(path, []byte("4711"), 0o600); err != nil {
			return 1
		}
		return heedsTerm(c, m)
	}
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		r.scripts["web"] = program
		require.NoError(t, r.Add("web", process.Command{Path: "web", Dir: dir}, ProgramOptions{ReadyFile: "web.pid"}))
		r.Start()
		time.Sleep(second)
		require.Equal(t, StateStarting, r.state("web"))
		time.Sleep(2 * second)
		require.Equal(t, []time.Duration{2 * second}, times[Ready](r, "web"))
	})
}

func TestReady_Probe(t *testing.T) {
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		probes := 0
		r.addReady(heedsTerm, ProgramOptions{ReadyProbe: func(context.Context) error {
			if probes++; probes < 6 {
				return errors.New("connection refused")
			}
			return nil
		}})
		r.Start()
		time.Sleep(10 * second)
		require.Equal(t, []time.Duration{second / 2}, times[Ready](r, "web"))
		require.Equal(t, 6, probes, "and no more once it is ready")
	})
}

// A probe that does not return in time holds up neither the restart nor the stop of the program, but a second one is not begun beside it.
func TestReady_ProbeThatHangs(t *testing.T) {
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		under, most := 0, 0
		r.addReady(heedsTerm, ProgramOptions{ReadyTimeout: -1, ReadyProbe: func(ctx context.Context) error {
			under++
			most = max(most, under)
			<-release
			under--
			return nil
		}})
		r.Start()
		synctest.Wait()
		for generation := 2; generation < 5; generation++ {
			require.NoError(t, r.Restart("web"))
			require.Equal(t, generation, r.status("web").Generation)
		}
		require.Equal(t, StateStarting, r.state("web"))
		ctx, cancel := soon(second)
		defer cancel()
		require.ErrorIs(t, r.Stop(ctx), errSoon, "Stop waits for the probe, within its context")
		require.Equal(t, StateStopped, r.state("web"))
		r.Start()
		require.Equal(t, 5, r.status("web").Generation, "the next start does not wait")
		require.Equal(t, StateStarting, r.state("web"))
		ctx, cancel = soon(second)
		defer cancel()
		require.ErrorIs(t, r.Stop(ctx), errSoon)
		close(release)
		require.NoError(t, r.Stop(t.Context()))
		require.Equal(t, 1, most)
		require.Empty(t, times[Ready](r, "web"), "it answered for a program that was gone")
	})
}

// The context of a probe ends with the process.
func TestReady_ProbeOfADeadProgram(t *testing.T) {
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		r.addReady(exits(second/2, 1), ProgramOptions{ReadyProbe: func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		}})
		r.Start()
		time.Sleep(10 * second)
		require.Equal(t, []time.Duration{3 * second / 2, 5 * second / 2, 9 * second / 2}, gaps(times[Started](r, "web")))
		require.Empty(t, times[Ready](r, "web"))
	})
}
