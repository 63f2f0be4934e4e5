package brokertest_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
)

// What code does about events can be tested like all else.
func TestEvents(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{})
		b.Pool("crew").NextStart(3, brokertest.Exit(1, "no license"))
		events := b.Events(t.Context())
		require.ErrorContains(t, b.Call(t.Context(), "crew.echo", "x", nil), "no license")
		told := map[broker.EventKind]int{}
		for e := range events {
			told[e.Kind]++
			if e.Kind == broker.EventCrashLoop {
				require.ErrorContains(t, e.Err, "did not become ready")
				break
			}
		}
		require.Equal(t, map[broker.EventKind]int{
			broker.EventStarted: 3, broker.EventStartFailed: 3, broker.EventExited: 3, broker.EventBackoff: 3, broker.EventCrashLoop: 1,
		}, told)
	})
}

func TestEvents_OfFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{})
		require.NoError(t, b.Call(t.Context(), "crew.echo", "x", nil))
		events := b.Pool("crew").Events(t.Context())
		require.Equal(t, 1, b.Pool("crew").Now(brokertest.Killed(11, "segmentation fault")))
		for e := range events {
			require.Equal(t, broker.EventExited, e.Kind)
			require.True(t, e.Death)
			require.EqualValues(t, 11, e.Exit.Report.Signal)
			break
		}
	})
}
