package pool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// TestEvents_RandomLives has all happen to a crew that can happen, in any order, and holds what was told of it against what must be true.
func TestEvents_RandomLives(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) { randomLives(t, rand.New(rand.NewPCG(seed, 24))) })
		})
	}
}

func randomLives(t *testing.T, random *rand.Rand) {
	var sick atomic.Bool
	var c *crew
	c = newCrewOf(t, Options{Max: 1 + random.IntN(5), EventBuffer: 1 << 16, IdleTimeout: 20 * time.Second, MaxCalls: 30, StopGrace: time.Second},
		func(launch int) process.Func {
			c.Pool.mu.Lock()
			looping, starting := c.restarts.looping, c.census.starting
			c.Pool.mu.Unlock()
			if looping && starting > 1 {
				t.Errorf("%d processes start in a crash loop", starting)
			}
			return randomProgram(launch, sick.Load()).run
		})
	l := c.listen()
	var others sync.WaitGroup
	for range 150 {
		switch dice := random.IntN(20); {
		case dice < 12:
			patience := time.Duration(random.IntN(3000)) * time.Millisecond
			others.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				_ = c.Call(ctx, "echo", "", nil, CallOptions{})
			})
		case dice < 14:
			sick.Store(!sick.Load())
		case dice < 16:
			if procs := c.launched(); len(procs) > 0 {
				_ = procs[random.IntN(len(procs))].Signal(process.KILL)
			}
		case dice < 17:
			others.Go(func() { _ = c.Stop(context.Background()) })
		case dice < 18:
			others.Go(func() { _ = c.Reload(context.Background(), process.Command{}) })
		case dice < 19:
			minimum, maximum := random.IntN(2), 1+random.IntN(5)
			others.Go(func() { _ = c.Resize(context.Background(), minimum, maximum) })
		default:
			time.Sleep(time.Duration(random.IntN(40_000)) * time.Millisecond)
		}
		if random.IntN(3) == 0 {
			synctest.Wait()
		}
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
	}
	require.NoError(t, c.Close())
	others.Wait()
	<-l.done
	checkStory(t, l.all(), c.Snapshot().Counters)
}

// randomProgram is a program of some kind that follows from the launch alone.
func randomProgram(launch int, sick bool) program {
	one, random := 1, rand.New(rand.NewPCG(uint64(launch), 7))
	p := program{inFlight: 1 + random.IntN(3), loads: time.Duration(random.IntN(2000)) * time.Millisecond}
	if sick {
		p.exits = &one
		return p
	}
	p.once = random.IntN(8) == 0
	p.deafToShutdown = random.IntN(8) == 0
	p.handle = func(v *visit) (any, error) {
		switch random := rand.New(rand.NewPCG(uint64(launch), uint64(v.call.ID))); random.IntN(20) {
		case 0:
			v.quit(3)
		case 1:
			v.say(jsonLine{Goodbye: "enough"})
		case 2:
			v.print("oops\n")
		default:
			v.sleep(time.Duration(random.IntN(500)) * time.Millisecond)
		}
		return v.call.Args, nil
	}
	return p
}

// rank is where in a worker's life an event belongs.
var rank = map[EventKind]int{EventStarted: 1, EventReady: 2, EventStartFailed: 2, EventRetiring: 3, EventStopping: 4, EventExited: 5}

// checkStory holds what was told against itself and against what was counted.
func checkStory(t *testing.T, story []Event, counted Counters) {
	t.Helper()
	told := map[EventKind]uint64{}
	deaths := uint64(0)
	reached := map[int]int{} // how far the present worker of each slot has come
	looping, probing := false, 0
	for i, e := range story {
		told[e.Kind]++
		require.EqualValues(t, i+1, e.Seq)
		require.Zero(t, e.Dropped)
		require.False(t, i > 0 && e.Time.Before(story[i-1].Time))
		switch at, before := rank[e.Kind], reached[e.Slot]; {
		case at == 0:
			require.Equal(t, -1, e.Slot)
			require.Zero(t, e.PID)
		case e.PID == 0:
			require.Equal(t, EventStartFailed, e.Kind)
			require.Zero(t, before)
		default:
			require.NotZero(t, e.Generation)
			require.Greater(t, at, before, "%v comes too late", e)
			require.True(t, before > 0 || at == 1, "%v comes too early", e)
			reached[e.Slot] = at % rank[EventExited]
		}
		switch e.Kind {
		case EventExited:
			require.Equal(t, e.PID, e.Exit.Report.PID)
			if e.Death {
				deaths++
			}
		case EventStartFailed:
			require.Error(t, e.Err)
		case EventBackoff:
			require.Positive(t, e.Delay)
			require.Positive(t, e.Attempt)
		case EventCrashLoop:
			require.Error(t, e.Err)
			looping, probing = true, 0
		case EventProbing:
			require.True(t, looping)
			probing++
			require.Equal(t, 1, probing, "the loop is open again before another probe")
		case EventRecovered:
			require.True(t, looping)
			looping, probing = false, 0
		}
	}
	for slot, at := range reached {
		require.Zero(t, at, "slot %d has come to its end", slot)
	}
	require.Equal(t, EventPoolClosed, story[len(story)-1].Kind)
	require.Equal(t, counted.Started, told[EventStarted])
	require.Equal(t, counted.Started, told[EventExited])
	require.Equal(t, counted.BootFailures, told[EventStartFailed])
	require.Equal(t, counted.Deaths, deaths)
	require.LessOrEqual(t, counted.Crashes+counted.Goodbyes, deaths)
	t.Logf("%v; %d deaths: %d crashes, %d goodbyes; ends %v", told, deaths, counted.Crashes, counted.Goodbyes, counted.Ends)
}
