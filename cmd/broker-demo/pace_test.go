package main

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// openLoopInBubble sleeps by the bubble's clock.
func openLoopInBubble(rate float64, duration time.Duration) *openLoop {
	l := newOpenLoop(time.Now(), rate, duration)
	l.doze = time.Sleep
	return l
}

func TestOpenLoopKeepsItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLoopInBubble(8, time.Second)
		start := time.Now()
		var pacer sync.WaitGroup
		pacer.Go(func() { l.run(t.Context()) })
		for n := range 8 {
			due, ok := l.next(t.Context())
			require.True(t, ok)
			require.Equal(t, time.Duration(n)*125*time.Millisecond, due.Sub(start))
			if n < 4 {
				require.Equal(t, due, time.Now(), "on time")
				require.EqualValues(t, n+1, l.due())
			}
			if n == 3 {
				time.Sleep(300 * time.Millisecond) // no caller is free
			}
			if n == 4 || n == 5 {
				require.Positive(t, time.Since(due), "late, and yet with its own time")
			}
			if n > 5 {
				require.Equal(t, due, time.Now(), "in time again")
			}
		}
		_, ok := l.next(t.Context())
		require.False(t, ok)
		pacer.Wait()
		require.EqualValues(t, 8, l.due())
	})
}

func TestOpenLoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, when := range []string{"asleep", "without a caller"} {
			l := openLoopInBubble(1, time.Hour)
			ctx, cancel := context.WithCancel(t.Context())
			var pacer sync.WaitGroup
			pacer.Go(func() { l.run(ctx) })
			if when == "asleep" {
				_, ok := l.next(ctx)
				require.True(t, ok)
			}
			synctest.Wait()
			cancel()
			_, ok := l.next(ctx)
			require.False(t, ok, when)
			pacer.Wait()
		}
	})
}

func TestClosedLoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &closedLoop{end: time.Now().Add(time.Second)}
		ctx, cancel := context.WithCancel(t.Context())
		due, ok := l.next(ctx)
		require.True(t, ok)
		require.Equal(t, time.Now(), due)
		cancel()
		_, ok = l.next(ctx)
		require.False(t, ok, "told to end")
		time.Sleep(time.Second)
		_, ok = l.next(t.Context())
		require.False(t, ok, "over")
	})
}

func TestOpenLoopNeverCallsEarly(t *testing.T) {
	l := newOpenLoop(time.Now(), 1, time.Second)
	until := time.Now().Add(3 * time.Millisecond)
	require.NoError(t, l.sleep(t.Context(), until))
	require.False(t, time.Now().Before(until), "not before its time")
}
