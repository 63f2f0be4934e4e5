package pool

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// serving is the launches that are ready and get calls, in slot order.
func (c *crew) serving() []int {
	var launches []int
	for _, w := range c.Snapshot().Workers {
		if w.State == StateReady && !w.Retiring {
			launches = append(launches, c.launchOf(w.Slot))
		}
	}
	return launches
}

// P25: the worker goes on serving while its successor loads, and no call waits for that.
func TestP25_MaxCallsSuccessorFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{MaxCalls: 3}, program{}, program{loads: 5 * time.Second}, program{})
		for range 3 {
			c.serves()
		}
		synctest.Wait()
		require.Len(t, c.launched(), 2, "the successor is loading")
		require.Equal(t, "recycle", c.Snapshot().Workers[0].Due)
		start := time.Now()
		for range 10 {
			c.serves()
		}
		require.Zero(t, time.Since(start), "no call waits for it")
		require.Equal(t, []int{0}, c.serving())
		at(start, 5*time.Second)
		require.Equal(t, []int{1}, c.serving())
		require.Equal(t, process.KillerRecycle, c.proc(0).Report().Killer)
		s := c.Snapshot()
		require.EqualValues(t, 1, s.Counters.Ends["recycle"])
		require.Zero(t, s.Counters.Deaths)
		require.Zero(t, s.BackoffDelay, "a wanted end teaches the back-off nothing")
	})
}

func TestMaxAge_ToTheMoment(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{MaxAge: time.Hour, IdleTimeout: -1, Min: 1})
		start := time.Now()
		at(start, time.Hour-1)
		require.Len(t, c.launched(), 1)
		at(start, time.Hour)
		require.Len(t, c.launched(), 2)
		require.Equal(t, []int{1}, c.serving())
		at(start, 2*time.Hour)
		require.Equal(t, []int{2}, c.serving(), "and so on")
	})
}

// P26: a call that is under way when its worker is replaced is not cut short.
func TestP26_CallsOutliveTheirWorkersTerm(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{MaxAge: time.Hour}, program{inFlight: 2, handle: held.handle})
		long := c.ask(t.Context(), "", CallOptions{})
		time.Sleep(time.Hour + 10*time.Second)
		synctest.Wait()
		require.Equal(t, []int{1}, c.serving())
		require.False(t, long.over())
		require.True(t, c.Snapshot().Workers[0].Retiring)
		held.open()
		require.NoError(t, long.result())
		synctest.Wait()
		require.Equal(t, process.KillerRecycle, c.proc(0).Report().Killer)
	})
}

// P26: memory is a soft limit, too. It is looked at every second.
func TestMaxRSS(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const limit = 100 << 20
		c := newCrewOf(t, Options{MaxRSS: limit, MaxAge: time.Hour, IdleTimeout: -1}, func(launch int) process.Func {
			return func(m *process.Memory) int {
				m.SetRSS(limit)
				if launch == 0 {
					grown := time.AfterFunc(10*time.Second+1, func() { m.SetRSS(limit + 1) })
					defer grown.Stop()
				}
				return program{}.run(m)
			}
		})
		start := time.Now()
		c.serves()
		at(start, 11*time.Second-1)
		require.Len(t, c.launched(), 1)
		at(start, 11*time.Second)
		require.Equal(t, []int{1}, c.serving())
		require.Equal(t, process.KillerRecycle, c.proc(0).Report().Killer)
		at(start, time.Hour)
		require.Len(t, c.launched(), 2)
	})
}

// P25: limits differ from worker to worker, so that those who began together do not end together; each is within a tenth.
func TestP25_LimitsAreDrawn(t *testing.T) {
	for random, want := range map[float64]limits{
		0:   {calls: 90, age: 54 * time.Minute, rss: 900},
		0.5: {calls: 100, age: time.Hour, rss: 1000},
		1:   {calls: 110, age: 66 * time.Minute, rss: 1100},
	} {
		p := &Pool{opts: Options{MaxCalls: 100, MaxAge: time.Hour, MaxRSS: 1000, random: func() float64 { return random }}}
		require.Equal(t, want, p.drawLimits())
	}
	off := &Pool{opts: Options{random: func() float64 { return 0 }}}
	require.Zero(t, off.drawLimits())
	one := &Pool{opts: Options{MaxCalls: 1, random: func() float64 { return 0 }}}
	require.EqualValues(t, 1, one.drawLimits().calls, "0 would be no limit")
}

// P25: a crew whose terms end at the same moment is replaced one by one, and never smaller than before.
func TestP25_OneByOne(t *testing.T) {
	for _, surge := range []int{0, 1, 2, 4} {
		inBubble(t, func(t *testing.T) {
			const crewSize = 4
			c := newCrew(t, Options{Min: crewSize, Surge: surge, MaxAge: time.Hour}, program{loads: time.Second})
			time.Sleep(time.Hour + time.Millisecond)
			for range 20 * crewSize {
				time.Sleep(time.Second / 4)
				synctest.Wait()
				s := c.Snapshot()
				require.GreaterOrEqual(t, s.ready(), crewSize)
				starting := 0
				for _, w := range s.Workers {
					if w.State == StateStarting {
						starting++
					}
				}
				require.LessOrEqual(t, starting, max(1, surge))
			}
			require.Len(t, c.launched(), 2*crewSize)
			require.Equal(t, []int{4, 5, 6, 7}, sorted(c.serving()))
		})
	}
}

// Without room for a successor one worker goes at a time, and the next when it has been replaced.
func TestSurge_NoneLeavesOneOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const crewSize = 4
		c := newCrew(t, Options{Max: crewSize, Surge: -1, MaxAge: time.Hour, IdleTimeout: -1}, program{loads: time.Second, handle: func(v *visit) (any, error) {
			v.sleep(time.Second)
			return v.call.Args, nil
		}})
		var calls []*asked
		for range crewSize {
			calls = append(calls, c.ask(t.Context(), "", CallOptions{}))
		}
		for _, call := range calls {
			require.NoError(t, call.result())
		}
		time.Sleep(time.Hour - 2*time.Second)
		for range 40 {
			require.GreaterOrEqual(t, c.Snapshot().ready(), crewSize-1)
			require.LessOrEqual(t, c.Snapshot().processes(), crewSize)
			time.Sleep(time.Second / 4)
			synctest.Wait()
		}
		require.Len(t, c.launched(), 2*crewSize)
		require.Equal(t, crewSize, c.Snapshot().ready())
	})
}

// A successor that cannot start changes nothing for callers, and is tried again as the back-off says.
func TestP26_NoSuccessorNoRetirement(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		broken := program{exits: new(int)}
		c := newCrew(t, Options{MaxCalls: 1}, program{}, broken, broken, broken, broken, program{})
		c.serves()
		start := time.Now()
		for range 14 {
			c.serves()
			require.Equal(t, []int{0}, c.serving())
			time.Sleep(time.Second)
		}
		at(start, 15*time.Second) // 1 + 2 + 4 + 8
		require.Len(t, c.launched(), 6)
		require.Equal(t, []int{5}, c.serving())
	})
}

// A worker that has never had a call needs no successor, unless it is one of Min.
func TestMaxAge_UnusedWorkersAreNotReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Max: 2, MaxAge: time.Hour, IdleTimeout: 90 * time.Minute})
		c.serves()
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		require.Equal(t, []int{1}, c.serving())
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, c.serving())
		require.Len(t, c.launched(), 2)
	})
}

// TestP26_RecyclingFailsNoCall has workers replaced all the time under many callers.
func TestP26_RecyclingFailsNoCall(t *testing.T) {
	for _, surge := range []int{-1, 1, 3} {
		c := nativeCrew(t, Options{Max: 4, Surge: surge, MaxCalls: 7}, 3, handle)
		busy(t, c, func() {
			require.Eventually(t, func() bool { return c.Snapshot().Counters.Ends["recycle"] > 20 }, time.Minute, time.Millisecond)
		})
		require.Zero(t, c.Snapshot().Counters.Deaths)
		require.Empty(t, c.Snapshot().Counters.Failures)
		require.NoError(t, c.Close())
	}
}

// Where a worker goes before its successor comes, and that one does not start, no other worker goes until one does.
func TestSurge_NoneWaitsForWhatIsOwed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		broken := program{exits: new(int)}
		c := newCrew(t, Options{Max: 3, Surge: -1, MaxAge: time.Hour, IdleTimeout: -1},
			program{handle: sleepy(time.Second)}, program{handle: sleepy(time.Second)}, program{handle: sleepy(time.Second)}, broken, broken, broken, program{})
		var calls []*asked
		for range 3 {
			calls = append(calls, c.ask(t.Context(), "", CallOptions{}))
		}
		for _, call := range calls {
			require.NoError(t, call.result())
		}
		for len(c.launched()) < 6 {
			time.Sleep(time.Second)
			if len(c.launched()) > 3 {
				require.Equal(t, 2, c.Snapshot().ready())
			}
		}
		time.Sleep(10 * time.Minute)
		require.Equal(t, 3, c.Snapshot().ready())
		require.GreaterOrEqual(t, slices.Min(c.serving()), 6, "all have been replaced")
	})
}

// What is owed to a crew that has become smaller meanwhile is owed no more: otherwise none of those that are left would be replaced.
func TestSurge_NoneOwesNothingToASmallerCrew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Max: 2, Surge: -1, MaxAge: time.Hour, IdleTimeout: -1}, program{handle: sleepy(10 * time.Second)})
		c.ask(t.Context(), "", CallOptions{})
		c.ask(t.Context(), "", CallOptions{})
		time.Sleep(time.Hour - 5*time.Second)
		first, second := c.ask(t.Context(), "", CallOptions{}), c.ask(t.Context(), "", CallOptions{})
		time.Sleep(6 * time.Second)
		require.Equal(t, 1, c.Snapshot().ready(), "one goes before its successor comes")
		require.NoError(t, c.Resize(t.Context(), 0, 1))
		require.NoError(t, first.result())
		require.NoError(t, second.result())
		time.Sleep(time.Second)
		require.Equal(t, []int{2}, c.serving())
	})
}
