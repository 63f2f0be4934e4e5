package monitor

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

const second = time.Second

func TestL4_1_Defaults(t *testing.T) {
	m, err := New(Options{})
	require.NoError(t, err)
	require.Equal(t, Policy{Threshold: second, KillTime: 5 * second, MinDelay: second, MaxDelay: 3600 * second}, m.opts.Policy)
}

func TestL4_2_NamesAreUnique(t *testing.T) {
	inBubble(t, Options{}, map[string]script{"web": heedsTerm}, func(t *testing.T, r *rig) {
		err := r.Add("web", process.Command{Path: "web"}, ProgramOptions{})
		var named *NameError
		require.ErrorAs(t, err, &named)
		require.Equal(t, "web", named.Name)
		require.ErrorIs(t, err, ErrDuplicate)
		require.EqualError(t, err, `monitor: program "web": there is a program of this name already`)

		for _, err := range []error{r.Restart("db"), r.Remove(t.Context(), "db")} {
			require.ErrorAs(t, err, &named)
			require.Equal(t, "db", named.Name)
			require.ErrorIs(t, err, ErrUnknown)
		}
		require.Equal(t, []Status{{Name: "web"}}, r.Snapshot(), "added before the start: it waits for it")
	})
}

func TestL4_2_AddStartsAtOnceIfTheMonitorRuns(t *testing.T) {
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		var got process.Command
		r.scripts["late"] = func(c process.Command, m *process.Memory) int {
			got = c
			return heedsTerm(c, m)
		}
		r.Start()
		want := process.Command{Path: "late", Args: []string{"", "a b", "$HOME", `"'\`}, Env: []string{"A=1"}, Dir: "/"}
		require.NoError(t, r.Add("late", want, ProgramOptions{}))
		require.Equal(t, StateRunning, r.state("late"))
		require.Equal(t, want, got, "as it was given: no shell is involved")
	})
}

// TestL4_3_InstantDeaths: the delays of L4.3, as they are waited for.
func TestL4_3_InstantDeaths(t *testing.T) {
	inBubble(t, Options{}, map[string]script{"web": exitsAtOnce}, func(t *testing.T, r *rig) {
		r.Start()
		time.Sleep(4 * time.Hour)
		require.Equal(t, []time.Duration{second, 2 * second, 4 * second, 8 * second, 16 * second, 32 * second, 64 * second, 128 * second, 256 * second, 512 * second, 1024 * second, 2048 * second, 3600 * second, 3600 * second},
			gaps(times[Started](r, "web")))
		status := r.status("web")
		require.Equal(t, StateBackingOff, status.State)
		require.Equal(t, 3600*second, status.Delay)
		require.Equal(t, 15, status.Generation)
		require.Equal(t, 14, status.Restarts)
		require.Equal(t, 15, status.Attempts)
		require.Equal(t, 1, status.LastReport.Code)
	})
}

func TestL4_3_InstantDeathsBetweenTwoAndTen(t *testing.T) {
	policy := Policy{MinDelay: 2 * second, MaxDelay: 10 * second}
	inBubble(t, Options{Policy: policy}, map[string]script{"web": exitsAtOnce}, func(t *testing.T, r *rig) {
		r.Start()
		time.Sleep(35 * second)
		require.Equal(t, []time.Duration{2 * second, 4 * second, 8 * second, 10 * second, 10 * second}, gaps(times[Started](r, "web")))
	})
}

// TestL4_3_TheDelayCountsFromTheDeath: looking after what a dead program leaves behind, here output that is slow to be taken, is part of it.
func TestL4_3_TheDelayCountsFromTheDeath(t *testing.T) {
	program := func(_ process.Command, m *process.Memory) int {
		_, _ = m.Stdout.Write([]byte("bye"))
		return 1
	}
	inBubble(t, Options{}, map[string]script{"web": program}, func(t *testing.T, r *rig) {
		start := r.opts.Start
		r.opts.Start = func(c process.Command, o process.ManagedOptions) (*process.Managed, error) {
			stdout := o.Stdout
			o.Stdout = func(data []byte) {
				time.Sleep(second * 3 / 2)
				stdout(data)
			}
			return start(c, o)
		}
		r.Start()
		time.Sleep(10 * second)
		require.Equal(t, []time.Duration{second * 3 / 2, 2 * second, 4 * second}, gaps(times[Started](r, "web")), "but nothing starts before the end")
	})
}

// TestL4_3_LongEnoughResets: after a life of exactly the threshold the restart is immediate, and the delays begin anew.
func TestL4_3_LongEnoughResets(t *testing.T) {
	lives := []time.Duration{0, 0, second - 1, second, 0, second + 1, 0}
	started := 0
	program := func(c process.Command, m *process.Memory) int {
		started++
		if started > len(lives) {
			return heedsTerm(c, m)
		}
		return exits(lives[started-1], 1)(c, m)
	}
	inBubble(t, Options{}, map[string]script{"web": program}, func(t *testing.T, r *rig) {
		r.Start()
		time.Sleep(time.Minute)
		require.Equal(t, []time.Duration{second, 2 * second, second - 1 + 4*second, second, second, second + 1, second}, gaps(times[Started](r, "web")))
		require.Equal(t, StateRunning, r.state("web"))
		require.Equal(t, 1, r.status("web").Attempts, "the one since the last long life")
	})
}

func TestL4_4_StopOnSuccess(t *testing.T) {
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		codes := []int{1, 0}
		r.scripts["job"] = func(process.Command, *process.Memory) int {
			code := codes[0]
			codes = codes[1:]
			return code
		}
		require.NoError(t, r.Add("job", process.Command{Path: "job"}, ProgramOptions{StopOnSuccess: true}))
		r.Start()
		time.Sleep(time.Minute)
		require.Equal(t, StateStopped, r.state("job"))
		require.Empty(t, codes)
		r.Start()
		require.Equal(t, StateStopped, r.state("job"), "the monitor runs already")

		codes = []int{0}
		require.NoError(t, r.Restart("job"))
		require.Equal(t, StateStopped, r.state("job"))
		require.Empty(t, codes, "it has run again")
		require.Equal(t, 3, r.status("job").Generation)
	})
}

func TestL4_4_GivesUpAfterMaxAttempts(t *testing.T) {
	inBubble(t, Options{Policy: Policy{MaxAttempts: 3}}, map[string]script{"web": exitsAtOnce}, func(t *testing.T, r *rig) {
		require.NoError(t, r.Add("gone", process.Command{Path: "gone"}, ProgramOptions{Policy: Policy{MaxAttempts: 1}}))
		require.NoError(t, r.Add("never", process.Command{Path: "gone"}, ProgramOptions{Policy: Policy{MaxAttempts: -1, MaxDelay: second}}))
		r.Start()
		time.Sleep(time.Minute)
		require.Equal(t, []time.Duration{second, 2 * second}, gaps(times[Started](r, "web")))
		require.Equal(t, StateGivenUp, r.state("web"))
		all := r.what("web")
		gaveUp := all[len(all)-1].(GaveUp)
		require.Equal(t, 3, gaveUp.Attempts)
		require.Equal(t, 1, gaveUp.Report.Code)

		all = r.what("gone")
		require.ErrorIs(t, all[len(all)-1].(GaveUp).Err, fs.ErrNotExist)
		require.Equal(t, StateBackingOff, r.state("never"))

		r.mu.Lock()
		r.scripts["web"] = heedsTerm
		r.mu.Unlock()
		require.NoError(t, r.Restart("web"))
		require.Equal(t, StateRunning, r.state("web"), "who asks gets another series of attempts")
	})
}

func TestL4_4_Jitter(t *testing.T) {
	inBubble(t, Options{Policy: Policy{Jitter: 0.5}}, map[string]script{"a": exitsAtOnce, "b": exitsAtOnce}, func(t *testing.T, r *rig) {
		r.Start()
		time.Sleep(time.Minute)
		a, b := gaps(times[Started](r, "a")), gaps(times[Started](r, "b"))
		require.NotEqual(t, a[:3], b[:3])
		for i, want := range []float64{1, 2, 4} {
			require.InDelta(t, want, a[i].Seconds(), want/2)
		}
	})
}

// TestL4_5_RestartEndsAndBringsBack: TERM, KILL after the kill time, and no wait, because the death was wanted.
func TestL4_5_RestartEndsAndBringsBack(t *testing.T) {
	inBubble(t, Options{}, map[string]script{"heeds": heedsTerm, "ignores": ignoresTerm}, func(t *testing.T, r *rig) {
		r.Start()
		time.Sleep(second / 2)
		r.RestartAll()
		require.Equal(t, []time.Duration{0, second / 2}, times[Started](r, "heeds"))
		require.Equal(t, StateStopping, r.state("ignores"))
		time.Sleep(5*second - 1)
		require.Len(t, times[Started](r, "ignores"), 1, "not a tick before")
		time.Sleep(1 * time.Nanosecond)
		require.Equal(t, []time.Duration{0, 5*second + second/2}, times[Started](r, "ignores"))

		report := r.status("ignores").LastReport
		require.Equal(t, process.KILL, report.Signal)
		require.Equal(t, process.KillerAsked, report.Killer)
		require.NoError(t, r.Restart("heeds"))
		require.Len(t, times[Started](r, "heeds"), 3)
		require.Empty(t, times[BackingOff](r, "heeds"))
		require.Zero(t, r.status("heeds").Attempts)
	})
}

func TestL4_5_KillTimeAtOnce(t *testing.T) {
	inBubble(t, Options{Policy: Policy{KillTime: -1}}, map[string]script{"web": ignoresTerm}, func(t *testing.T, r *rig) {
		r.Start()
		time.Sleep(second)
		require.NoError(t, r.Restart("web"))
		require.Equal(t, []time.Duration{0, second}, times[Started](r, "web"))
	})
}

// TestL4_6_StopWaits for those that run, and calls off restarts that wait.
func TestL4_6_StopWaits(t *testing.T) {
	programs := map[string]script{"heeds": heedsTerm, "ignores": ignoresTerm, "dies": exitsAtOnce}
	inBubble(t, Options{}, programs, func(t *testing.T, r *rig) {
		r.Start()
		time.Sleep(10 * second)
		require.NoError(t, r.Stop(t.Context()))
		require.Equal(t, 15*second, time.Since(r.began), "KILL after the kill time, and not more")
		require.Empty(t, r.lives, "nothing goes on")
		for _, status := range r.Snapshot() {
			require.Equal(t, StateStopped, status.State)
			require.Zero(t, status.PID)
			all := r.what(status.Name)
			require.Equal(t, Stopped{}, all[len(all)-1])
		}
		require.Equal(t, process.KillerShutdown, r.status("heeds").LastReport.Killer)
		n := len(times[Started](r, "dies"))
		time.Sleep(time.Hour)
		require.Len(t, times[Started](r, "dies"), n)

		r.Start()
		require.Equal(t, StateRunning, r.state("heeds"), "a monitor can be started again")
		require.Equal(t, 2, r.status("heeds").Generation)
	})
}

func TestL4_6_StopWithinItsContext(t *testing.T) {
	inBubble(t, Options{}, map[string]script{"a": ignoresTerm, "b": ignoresTerm, "c": heedsTerm}, func(t *testing.T, r *rig) {
		r.Start()
		synctest.Wait()
		ctx, cancel := soon(second)
		defer cancel()
		err := r.Stop(ctx)
		require.Equal(t, second, time.Since(r.began))
		var stop *StopError
		require.ErrorAs(t, err, &stop)
		require.ErrorIs(t, err, errSoon)
		require.Len(t, stop.Left, 2)
		require.Equal(t, "a", stop.Left[0].Name)
		require.Equal(t, StateStopping, stop.Left[0].State)
		require.Regexp(t, `^monitor: not stopped yet: a \(pid \d+\), b \(pid \d+\): soon is over$`, err.Error())

		r.Start()
		require.Equal(t, StateRunning, r.state("c"))
		require.Equal(t, StateStopping, r.state("a"), "started while it is still being ended")
		time.Sleep(4 * second)
		require.Equal(t, StateRunning, r.state("a"), "so it came back when it had ended")
		require.Equal(t, []time.Duration{0, 5 * second}, times[Started](r, "a"))
	})
}

func TestL4_6_Run(t *testing.T) {
	inBubble(t, Options{}, map[string]script{"web": ignoresTerm}, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*second)
		defer cancel()
		require.NoError(t, r.Run(ctx))
		require.Equal(t, 15*second, time.Since(r.began))
	})
	inBubble(t, Options{StopTimeout: second}, map[string]script{"web": ignoresTerm}, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*second)
		defer cancel()
		var stop *StopError
		require.ErrorAs(t, r.Run(ctx), &stop)
		require.ErrorIs(t, stop, context.DeadlineExceeded)
		require.Equal(t, 11*second, time.Since(r.began))
	})
}

func TestL4_7_BackOffIsInterrupted(t *testing.T) {
	inBubble(t, Options{}, map[string]script{"a": exitsAtOnce, "b": exitsAtOnce}, func(t *testing.T, r *rig) {
		r.Start()
		time.Sleep(100 * second)
		require.Equal(t, StateBackingOff, r.state("a"))
		require.NoError(t, r.Remove(t.Context(), "a"))
		require.Equal(t, 100*second, time.Since(r.began), "there was nothing to wait for")

		n := len(times[Started](r, "b"))
		require.NoError(t, r.Restart("b"))
		require.Len(t, times[Started](r, "b"), n+1, "who asks does not wait")
		require.Equal(t, 128*second, r.status("b").Delay, "but a restart is no proof of health")
		require.NoError(t, r.Stop(t.Context()))
		time.Sleep(time.Hour)
		require.Len(t, times[Started](r, "b"), n+1)
		require.Len(t, times[Started](r, "a"), n)
	})
}

func TestL4_7_AFailedStartIsAnEarlyDeath(t *testing.T) {
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		require.NoError(t, r.Add("gone", process.Command{Path: "gone"}, ProgramOptions{}))
		r.Start()
		time.Sleep(16 * second)
		require.Equal(t, []time.Duration{0, second, 3 * second, 7 * second, 15 * second}, times[StartFailed](r, "gone"))
		require.ErrorIs(t, r.what("gone")[0].(StartFailed).Err, fs.ErrNotExist)
		require.ErrorIs(t, r.status("gone").LastError, fs.ErrNotExist)

		r.mu.Lock()
		r.scripts["gone"] = heedsTerm
		r.mu.Unlock()
		time.Sleep(16 * second)
		require.Equal(t, []time.Duration{31 * second}, times[Started](r, "gone"))
		require.NoError(t, r.status("gone").LastError)
	})
}

// An order that comes in the moment in which a program would be given up is obeyed.
func TestRestart_InTheMomentOfGivingUp(t *testing.T) {
	inBubble(t, Options{Policy: Policy{MaxAttempts: 1}}, nil, func(t *testing.T, r *rig) {
		start, starts := r.opts.Start, 0
		r.opts.Start = func(c process.Command, o process.ManagedOptions) (*process.Managed, error) {
			if starts++; starts == 1 {
				require.NoError(t, r.Restart("gone"))
			}
			return start(c, o)
		}
		require.NoError(t, r.Add("gone", process.Command{Path: "gone"}, ProgramOptions{}))
		r.Start()
		require.Equal(t, StateGivenUp, r.state("gone"))
		require.Equal(t, 2, starts)
	})
}

// An order that comes while a program is being started is obeyed as soon as it runs.
func TestRestart_WhileStarting(t *testing.T) {
	inBubble(t, Options{}, map[string]script{"web": heedsTerm}, func(t *testing.T, r *rig) {
		start, starts := r.opts.Start, 0
		r.opts.Start = func(c process.Command, o process.ManagedOptions) (*process.Managed, error) {
			if starts++; starts == 1 {
				require.NoError(t, r.Restart("web"))
			}
			return start(c, o)
		}
		r.Start()
		require.Equal(t, []string{"Started", "Exited", "Restarting", "Started"}, r.kinds())
	})
}

// TestP29_ProgramsAreGuarded unless that is not wanted.
func TestP29_ProgramsAreGuarded(t *testing.T) {
	inBubble(t, Options{DrainTimeout: second}, map[string]script{"a": heedsTerm, "b": heedsTerm}, func(t *testing.T, r *rig) {
		require.NoError(t, r.Add("bare", process.Command{Path: "b"}, ProgramOptions{Unguarded: true, SpareStrays: true}))
		require.NoError(t, r.Remove(t.Context(), "b"))
		start, got := r.opts.Start, make(map[string]process.Options)
		r.opts.Start = func(c process.Command, o process.ManagedOptions) (*process.Managed, error) {
			r.mu.Lock()
			got[c.Path] = o.Options
			r.mu.Unlock()
			return start(c, o)
		}
		r.Start()
		synctest.Wait()
		require.True(t, got["a"].Guard)
		require.False(t, got["a"].SpareStrays)
		require.Equal(t, second, got["a"].DrainTimeout)
		require.False(t, got["b"].Guard)
		require.True(t, got["b"].SpareStrays)
	})
}

// TestP37_ASecondStopUsesTheTimerOfTheFirst (L4.7): KILL comes after the kill time from the first, and once.
func TestP37_ASecondStopUsesTheTimerOfTheFirst(t *testing.T) {
	inBubble(t, Options{}, map[string]script{"web": ignoresTerm}, func(t *testing.T, r *rig) {
		r.Start()
		synctest.Wait()
		for range 4 {
			require.NoError(t, r.Restart("web"))
			synctest.Wait()
			time.Sleep(second)
		}
		ctx, cancel := soon(second / 2)
		defer cancel()
		require.ErrorIs(t, r.Stop(ctx), errSoon)
		r.Start()
		time.Sleep(20 * second)
		require.Equal(t, []time.Duration{0, 5 * second}, times[Started](r, "web"), "one timer, and the new process has none")
	})
}

// TestL4_8_RemoveThenAdd: the new program starts when the old one has ended.
func TestL4_8_RemoveThenAdd(t *testing.T) {
	inBubble(t, Options{}, map[string]script{"web": ignoresTerm}, func(t *testing.T, r *rig) {
		r.Start()
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, arg := range []string{"first", "second"} {
			var stop *StopError
			require.ErrorAs(t, r.Remove(ended, "web"), &stop)
			require.NoError(t, r.Add("web", process.Command{Path: "web", Args: []string{arg}}, ProgramOptions{}))
			require.Equal(t, StateStarting, r.state("web"))
			time.Sleep(second)
		}
		time.Sleep(20 * second)
		require.Equal(t, []time.Duration{0, 5 * second}, times[Started](r, "web"))
		require.Equal(t, 1, r.status("web").Generation, "it is another program")
	})
}

func TestL4_8_StopWaitsForTheRemoved(t *testing.T) {
	inBubble(t, Options{}, map[string]script{"web": ignoresTerm}, func(t *testing.T, r *rig) {
		r.Start()
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, r.Remove(ended, "web"))
		require.NoError(t, r.Stop(t.Context()))
		require.Equal(t, 5*second, time.Since(r.began))
		require.Empty(t, r.Snapshot())
	})
}

func TestNew_ReportsAllProblems(t *testing.T) {
	_, err := New(Options{Policy: Policy{Threshold: -1, MinDelay: 2 * second, MaxDelay: second, Jitter: 2}, MaxLine: -1, EventBuffer: -1, StopTimeout: -1})
	require.EqualError(t, err, "monitor: Threshold: -1ns is negative; use 0 for the default\n"+
		"monitor: MinDelay: 2s is more than MaxDelay, which is 1s; swap them\n"+
		"monitor: Jitter: 2 is not between 0 and 1\n"+
		"monitor: StopTimeout: -1ns is negative; use 0 for what the programs need\n"+
		"monitor: MaxLine: -1 is negative; use 0 for 8 KiB\n"+
		"monitor: EventBuffer: -1 is negative; use 0 for 256")

	m, err := New(Options{})
	require.NoError(t, err)
	err = m.Add("web", process.Command{}, ProgramOptions{ReadyTimeout: second})
	require.EqualError(t, err, "monitor: program web: Command: Path is empty; set it to the program\n"+
		"monitor: program web: ReadyTimeout: 1s has no effect without ReadyLine, ReadyFile or ReadyProbe; set one")
	probe := func(context.Context) error { return errors.New("no") }
	err = m.Add("", process.Command{Path: "a", Self: "b"}, ProgramOptions{ReadyFile: "x", ReadyProbe: probe})
	require.ErrorContains(t, err, "the name is empty")
	require.ErrorContains(t, err, `Path "a" and Self "b" exclude each other`)
	require.ErrorContains(t, err, "keep one")
	require.Empty(t, m.Snapshot())
}

func TestPolicy_DelaysGiveWayToEachOther(t *testing.T) {
	base := defaultPolicy()
	require.Equal(t, 2*time.Hour, Policy{MinDelay: 2 * time.Hour}.over(base).MaxDelay)
	require.Equal(t, second/2, Policy{MaxDelay: second / 2}.over(base).MinDelay)
}
