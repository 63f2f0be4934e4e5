package gauge

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// lasting is a call that takes so long.
func lasting(d time.Duration) Call {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func ownPID() []int { return []int{os.Getpid()} }

func TestRoundCountsEveryCallAfterTheWarmUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ClosedLoop{Callers: []Call{lasting(time.Millisecond), lasting(3 * time.Millisecond)}, PIDs: ownPID, Patience: time.Second}
		f, err := Round(l, 30*time.Millisecond)
		require.NoError(t, err)
		times, err := l.Times()
		require.NoError(t, err)
		require.Len(t, times, 30+10)
		require.Equal(t, time.Millisecond, f.P50)
		require.Equal(t, 3*time.Millisecond, f.P99)
		require.InEpsilon(t, 40/0.03, f.Rate, 1e-9)
	})
}

func TestEveryCallerCallsAtLeastOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ClosedLoop{Callers: []Call{lasting(0), lasting(time.Hour)}, PIDs: ownPID, Patience: 2 * time.Hour}
		took, err := l.Run(0)
		require.NoError(t, err)
		require.Equal(t, time.Hour, took)
		times, err := l.Times()
		require.NoError(t, err)
		require.Equal(t, []time.Duration{0, time.Hour}, times)
	})
}

func TestClosedLoopEndsWithTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		l := &ClosedLoop{Callers: []Call{lasting(time.Hour), func(context.Context) error { return broken }}, PIDs: ownPID, Patience: time.Second}
		took, err := l.Run(time.Minute)
		require.ErrorIs(t, err, broken)
		require.Zero(t, took)
	})
}

func TestWhoIsStuckIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		killed := make(chan struct{})
		deaf := func(context.Context) error { // heeds no context
			<-killed
			return errors.New("killed")
		}
		l := &ClosedLoop{Callers: []Call{deaf}, PIDs: ownPID, Patience: time.Second, GiveUp: func() { close(killed) }}
		took, err := l.Run(time.Minute)
		require.ErrorIs(t, err, ErrStuck)
		require.Equal(t, time.Minute+time.Second, took)
	})
}
