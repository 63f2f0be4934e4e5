package pool

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

func sorted(list []int) []int {
	slices.Sort(list)
	return list
}

// processes counts the slots that have one.
func (s Snapshot) processes() int {
	n := 0
	for _, w := range s.Workers {
		if w.State != StateStopped {
			n++
		}
	}
	return n
}

// versions is a crew whose programs are found by the command's path.
type versions struct {
	*crew
	mu   sync.Mutex
	runs []string // paths, in the order of the launches
}

func newVersions(t *testing.T, o Options, programs map[string]program) *versions {
	v := &versions{}
	o.Command.Path = "v1"
	o.Start = func(c process.Command, po process.Options) (*process.Process, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.runs = append(v.runs, c.Path)
		return process.StartFunc(programs[c.Path].run, po), nil
	}
	v.crew = newCrew(t, o)
	return v
}

func (v *versions) launches() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.runs)
}

func (v *versions) reload(path string) error {
	return v.Reload(context.Background(), process.Command{Path: path})
}

func TestReload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		v := newVersions(t, Options{Min: 3}, map[string]program{"v1": {}, "v2": {loads: time.Second}})
		require.NoError(t, v.Ready(t.Context()))
		start := time.Now()
		require.NoError(t, v.reload("v2"))
		require.Equal(t, 3*time.Second, time.Since(start), "one after another")
		require.Equal(t, []string{"v1", "v1", "v1", "v2", "v2", "v2"}, v.launches())
		require.EqualValues(t, 3, v.Snapshot().Counters.Ends["reload"])
		require.Equal(t, 3, v.Snapshot().ready())
		require.Equal(t, 3, v.Snapshot().processes())

		require.NoError(t, v.Stop(t.Context()))
		v.serves()
		require.Equal(t, "v2", v.launches()[6], "it stays the command")
	})
}

// The zero Command is the same program anew.
func TestReload_SameProgram(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		v := newVersions(t, Options{Max: 2}, map[string]program{"v1": {}})
		v.serves()
		before := v.Snapshot().Workers[0].PID
		require.NoError(t, v.Reload(t.Context(), process.Command{}))
		require.Equal(t, []string{"v1", "v1"}, v.launches())
		for _, w := range v.Snapshot().Workers {
			require.NotEqual(t, before, w.PID)
		}
	})
}

// A pool without workers tries the command all the same: whether it works is what Reload tells.
func TestReload_OfAnEmptyCrew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		v := newVersions(t, Options{}, map[string]program{"v1": {}, "v2": {}, "broken": {exits: new(int)}})
		require.ErrorContains(t, v.reload("broken"), "exited with code 0")
		require.NoError(t, v.reload("v2"))
		v.serves()
		require.Equal(t, []string{"broken", "v2"}, v.launches())
	})
}

// What cannot start changes nothing: not the workers, not the command, not the back-off.
func TestReload_ThatFailsLeavesTheOldCrew(t *testing.T) {
	broken := map[string]program{
		"exits":    {exits: new(int), stderr: "no such flag: --verbos\n"},
		"unable":   {unable: "no license"},
		"mute":     {mute: true},
		"too slow": {loads: time.Hour},
	}
	for path, p := range broken {
		inBubble(t, func(t *testing.T) {
			held := newGate()
			v := newVersions(t, Options{Min: 2, StartTimeout: 10 * time.Second, KillGrace: time.Second}, map[string]program{"v1": {handle: held.handle}, path: p})
			require.NoError(t, v.Ready(t.Context()))
			before := v.Snapshot()
			call := v.ask(t.Context(), "", CallOptions{})

			err := v.reload(path)
			require.ErrorContains(t, err, "pool crew: the workers stay as they are: reload: did not become ready: ")
			time.Sleep(time.Minute)
			after := v.Snapshot()
			for i := range 2 {
				require.Equal(t, before.Workers[i].PID, after.Workers[i].PID)
				require.Empty(t, after.Workers[i].Due)
			}
			require.Len(t, v.launches(), 3, "it was tried once")
			require.Equal(t, 2, after.processes())
			require.Zero(t, after.BackoffDelay)
			require.Zero(t, after.FailedStarts)
			require.EqualValues(t, 1, after.Counters.BootFailures)
			held.open()
			require.NoError(t, call.result())
		})
	}
}

// A crew that cannot start is what a reload may cure: the trial does not wait for the back-off.
func TestReload_CuresACrashLoop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		v := newVersions(t, Options{Min: 2}, map[string]program{"v1": {exits: new(int)}, "v2": {}})
		time.Sleep(time.Hour)
		require.Error(t, v.echo(t.Context(), ""))
		start := time.Now()
		require.NoError(t, v.reload("v2"))
		v.serves()
		require.NoError(t, v.Ready(t.Context()))
		require.Zero(t, time.Since(start))
		require.Zero(t, v.Snapshot().BackoffDelay)
	})
}

// Workers that were starting when the new command proved to work serve who waits for them, and are replaced.
func TestReload_CatchesThoseThatStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		v := newVersions(t, Options{Max: 1, StartTimeout: time.Hour}, map[string]program{"v1": {loads: time.Minute}, "v2": {}})
		first := v.ask(t.Context(), "", CallOptions{})
		reloaded := v.async(func() error { return v.reload("v2") })
		require.NoError(t, first.result(), "the new worker serves it")
		time.Sleep(time.Minute)
		require.NoError(t, reloaded.result())
		require.Equal(t, []string{"v1", "v2"}, v.launches())
		require.EqualValues(t, 1, v.Snapshot().Counters.Ends["reload"])
	})
}

func TestReload_OneAfterAnother(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		slow := program{loads: time.Second}
		v := newVersions(t, Options{Min: 1}, map[string]program{"v1": {}, "v2": slow, "v3": slow, "v4": slow})
		require.NoError(t, v.Ready(t.Context()))
		var all []*asked
		for _, path := range []string{"v2", "v3", "v4"} {
			all = append(all, v.async(func() error { return v.reload(path) }))
		}
		for _, r := range all {
			require.NoError(t, r.result())
		}
		require.ElementsMatch(t, []string{"v1", "v2", "v3", "v4"}, v.launches())
		require.Equal(t, 1, v.Snapshot().processes())
	})
}

// A caller that leaves before the new worker is ready calls the reload off; one that leaves later only stops waiting.
func TestReload_ContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		v := newVersions(t, Options{Min: 1, RetireGrace: time.Hour, StartTimeout: time.Hour}, map[string]program{"v1": {handle: held.handle}, "v2": {loads: time.Minute}})
		require.NoError(t, v.Ready(t.Context()))
		call := v.ask(t.Context(), "", CallOptions{})

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute-1)
		defer cancel()
		err := v.Reload(ctx, process.Command{Path: "v2"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the workers stay as they are")
		synctest.Wait()
		require.Equal(t, 1, v.Snapshot().processes())
		require.EqualValues(t, 1, v.Snapshot().Counters.Ends["reload"], "the trial's")
		require.Zero(t, v.Snapshot().Counters.BootFailures)

		ctx, cancel = context.WithTimeout(t.Context(), time.Minute+1)
		defer cancel()
		err = v.Reload(ctx, process.Command{Path: "v2"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the reload goes on")
		held.open()
		require.NoError(t, call.result())
		synctest.Wait()
		require.EqualValues(t, 2, v.Snapshot().Counters.Ends["reload"])
		require.Equal(t, 1, v.Snapshot().ready())
	})
}

func TestReload_WhileThePoolEnds(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(*crew) error
		want error
	}{
		"stop":  {func(c *crew) error { return c.Stop(context.Background()) }, ErrStopping},
		"close": {func(c *crew) error { return c.Close() }, ErrClosed},
	} {
		inBubble(t, func(t *testing.T) {
			v := newVersions(t, Options{Min: 1}, map[string]program{"v1": {}, "v2": {loads: time.Second}})
			require.NoError(t, v.Ready(t.Context()), name)
			reloaded := v.async(func() error { return v.reload("v2") })
			ended := v.async(func() error { return end.do(v.crew) })
			require.ErrorIs(t, reloaded.result(), end.want)
			require.NoError(t, ended.result())
			require.Equal(t, 0, v.Snapshot().processes())
		})
	}
}

func TestReload_OfANonsensicalCommand(t *testing.T) {
	p, err := New(Options{Command: process.Command{Path: "true"}})
	require.NoError(t, err)
	defer p.Close()
	require.ErrorContains(t, p.Reload(t.Context(), process.Command{Path: "x", Self: "y"}), "exclude each other")
	require.ErrorContains(t, p.Reload(t.Context(), process.Command{Args: []string{"x"}}), "Path is empty")
	require.Zero(t, p.Snapshot().Counters.Started)
}

// TestReload_FailsNoCall reloads again and again under many callers.
func TestReload_FailsNoCall(t *testing.T) {
	for _, surge := range []int{-1, 1} {
		c := nativeCrew(t, Options{Max: 4, Surge: surge}, 2, handle)
		busy(t, c, func() {
			for range 20 {
				before := map[int]bool{}
				for _, w := range c.Snapshot().Workers {
					before[w.PID] = w.PID != 0
				}
				require.NoError(t, c.Reload(t.Context(), process.Command{}))
				for _, w := range c.Snapshot().Workers {
					require.False(t, before[w.PID], "pid %d", w.PID)
				}
			}
		})
		require.NoError(t, c.Close())
	}
}

// busy keeps callers calling while f runs. None of their calls may fail.
func busy(t *testing.T, c *crew, f func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	for range 16 {
		calls.Go(func() {
			for ctx.Err() == nil {
				if err := c.echo(t.Context(), "x"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	f()
}

// A trial that has not begun, because there is no room for it, ends with the pool as one that has.
func TestReload_WithoutRoomEndsWithThePool(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(*crew) error
		want error
	}{
		"stop":     {func(c *crew) error { return c.Stop(context.Background()) }, ErrStopping},
		"shutdown": {func(c *crew) error { return c.Shutdown(context.Background()) }, ErrClosed},
		"close":    {func(c *crew) error { return c.Close() }, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				v := newVersions(t, Options{Max: 3, StopGrace: time.Second, RetireGrace: time.Hour}, map[string]program{"v1": {handle: sleepy(time.Minute)}})
				for range 3 {
					v.ask(context.Background(), "", CallOptions{})
				}
				resized := v.async(func() error { return v.Resize(context.Background(), 0, 1) })
				reloaded := v.async(func() error { return v.Reload(context.Background(), process.Command{}) })
				require.False(t, reloaded.over())
				require.Len(t, v.launches(), 3)
				require.NoError(t, end.do(v.crew))
				require.ErrorIs(t, reloaded.result(), end.want)
				require.NoError(t, resized.result())
				require.Len(t, v.launches(), 3)
			})
		})
	}
}

// sleepy is a handler that takes so long.
func sleepy(d time.Duration) func(*visit) (any, error) {
	return func(v *visit) (any, error) {
		v.sleep(d)
		return v.call.Args, nil
	}
}

// The worker on trial stands beside Max: callers need not wait for what becomes of it.
func TestReload_TrialTakesNobodysPlace(t *testing.T) {
	for _, surge := range []int{-1, 1} {
		inBubble(t, func(t *testing.T) {
			v := newVersions(t, Options{Max: 1, Surge: surge, StartTimeout: time.Hour}, map[string]program{"v1": {}, "v2": {loads: time.Minute}})
			reloaded := v.async(func() error { return v.reload("v2") })
			start := time.Now()
			v.serves()
			require.Zero(t, time.Since(start))
			require.Equal(t, []string{"v2", "v1"}, v.launches())
			require.NoError(t, reloaded.result())
			require.Equal(t, 1, v.Snapshot().processes())
		})
	}
}

// A pool that has been stopped is awake again with the worker that was tried: it has its Min, and replaces what is due.
func TestReload_WakesTheCrew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		v := newVersions(t, Options{Min: 2, MaxAge: time.Hour}, map[string]program{"v1": {}, "v2": {}})
		require.NoError(t, v.Stop(t.Context()))
		require.NoError(t, v.reload("v2"))
		synctest.Wait()
		require.Equal(t, 2, v.Snapshot().ready())
		require.False(t, v.Snapshot().Asleep)
		time.Sleep(90 * time.Minute)
		require.Len(t, v.launches(), 2+2+2)
	})
}

func TestReload_TooLateToBegin(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		v := newVersions(t, Options{}, map[string]program{"v1": {}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, v.Reload(ctx, process.Command{}), context.Canceled)
		synctest.Wait()
		require.Empty(t, v.launches())
	})
}
