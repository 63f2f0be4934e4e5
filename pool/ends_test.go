package pool

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// leavingAs is a worker that has never been of use and leaves in some way of its own when it gets a call.
func leavingAs(leave func(v *visit)) program {
	return program{handle: func(v *visit) (any, error) {
		leave(v)
		<-v.over
		return nil, nil
	}}
}

// TestP24_WantedEndsFeedNoBackOff: whatever we end workers for, whether they retire first or are killed, they are replaced at once.
func TestP24_WantedEndsFeedNoBackOff(t *testing.T) {
	reasons := []process.Killer{
		process.KillerIdle, process.KillerRecycle, process.KillerReload, process.KillerResize, process.KillerCancel,
		process.KillerTimeout, process.KillerAsked,
	}
	ways := map[string]event{
		"retired": {kind: evRetire},
		"ended":   {kind: evKill, from: process.Terminate},
		"killed":  {kind: evKill, from: process.Kill},
	}
	for _, why := range reasons {
		for name, e := range ways {
			t.Run(fmt.Sprintf("%s %s", why, name), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					c := newCrew(t, Options{Min: 1})
					require.NoError(t, c.Ready(t.Context()))
					start := time.Now()
					for n := range 5 {
						w := c.slots[0].worker
						e.why = why
						c.post(w, e)
						synctest.Wait()
						require.NoError(t, c.Ready(t.Context()))
						require.Len(t, c.launched(), n+2)
						require.Equal(t, why, c.proc(n).Report().Killer)
					}
					require.Zero(t, time.Since(start), "none is delayed")
					s := c.Snapshot()
					require.Zero(t, s.Counters.Deaths)
					require.Zero(t, s.Counters.Crashes)
					require.Zero(t, s.Counters.BootFailures)
					require.Zero(t, s.BackoffDelay)
					require.Equal(t, map[string]uint64{string(why): 5}, s.Counters.Ends)
				})
			})
		}
	}
}

// TestEndsAreCountedApart: every way in which workers end without our wish feeds the back-off, and is counted for what it is.
func TestEndsAreCountedApart(t *testing.T) {
	cases := []struct {
		name              string
		program           program
		crashes, goodbyes uint64
		end               string // its key in Counters.Ends
	}{
		{"exits", leavingAs(func(v *visit) { v.quit(0) }), 1, 0, Unaided},
		{"fails", leavingAs(func(v *visit) { v.quit(3) }), 1, 0, Unaided},
		{"says goodbye and waits", leavingAs(func(v *visit) { v.say(jsonLine{Goodbye: "enough"}) }), 0, 1, string(killerGoodbye)},
		{"says goodbye and exits", leavingAs(func(v *visit) { v.say(jsonLine{Goodbye: "enough"}); v.quit(0) }), 0, 1, Unaided},
		{"says goodbye and fails later", leavingAs(func(v *visit) { v.say(jsonLine{Goodbye: "enough"}); v.sleep(time.Second); v.quit(1) }), 0, 1, Unaided},
		{"breaks the protocol", leavingAs(func(v *visit) { v.print("hello?\n") }), 0, 0, string(process.KillerViolation)},
		{"closes its output", leavingAs(func(v *visit) { _ = v.Stdout.Close() }), 0, 0, string(killerMute)},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCrew(t, Options{RetireGrace: 10 * time.Second, StopGrace: time.Second}, cs.program)
				require.ErrorIs(t, c.echo(t.Context(), ""), ErrTransient)
				time.Sleep(100 * time.Millisecond)
				s := c.Snapshot()
				require.Equal(t, time.Second, s.BackoffDelay)
				require.EqualValues(t, 1, s.Counters.Deaths)
				require.Equal(t, cs.crashes, s.Counters.Crashes)
				require.Equal(t, cs.goodbyes, s.Counters.Goodbyes)
				require.Zero(t, s.Counters.BootFailures)
				require.Equal(t, map[string]uint64{cs.end: 1}, s.Counters.Ends)
			})
		})
	}
}

// A worker that its memory limit ends is no crash, and not what we wished for.
func TestEndsByTheMemoryLimitAreDeaths(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Min: 1})
		require.NoError(t, c.Ready(t.Context()))
		c.proc(0).Blame(process.KillerMemory)
		c.crash(0)
		synctest.Wait()
		s := c.Snapshot()
		require.EqualValues(t, 1, s.Counters.Deaths)
		require.Zero(t, s.Counters.Crashes)
		require.Equal(t, map[string]uint64{"memory": 1}, s.Counters.Ends)
		require.Equal(t, time.Second, s.BackoffDelay)
	})
}

// TestGoodbyesThatWereAskedForAreNone: whoever is told to stop says goodbye, too.
func TestGoodbyesThatWereAskedForAreNone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{IdleTimeout: time.Minute})
		c.serves()
		time.Sleep(time.Hour)
		c.serves()
		require.NoError(t, c.Stop(t.Context()))
		s := c.Snapshot().Counters
		require.Equal(t, map[string]uint64{"idle": 1, "asked": 1}, s.Ends)
		require.Zero(t, s.Deaths)
		require.Zero(t, s.Goodbyes)
	})
}
