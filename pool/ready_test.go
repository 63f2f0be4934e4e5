package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

func TestReady(t *testing.T) {
	t.Run("waits for Min", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{Min: 6}, program{loads: time.Second})
			synctest.Wait()
			require.Len(t, c.launched(), maxStarts, "they start with the pool, a few at a time")
			start := time.Now()
			require.NoError(t, c.Ready(t.Context()))
			require.Equal(t, 2*time.Second, time.Since(start))
			require.Equal(t, 6, c.Snapshot().ready())
		})
	})
	t.Run("with Min 0 has nothing to wait for", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{})
			require.NoError(t, c.Ready(t.Context()))
			require.Empty(t, c.launched())
		})
	})
	t.Run("fails with the boot error", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{Min: 1}, program{unable: "no license"})
			err := c.Ready(t.Context())
			require.ErrorContains(t, err, "no license")
			var unable *rpc.InitError
			require.ErrorAs(t, err, &unable)
		})
	})
	t.Run("ends with its context", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{Min: 1}, program{loads: time.Hour})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, c.Ready(ctx), context.DeadlineExceeded)
		})
	})
	t.Run("a call, too, has Min started again after a stop", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{Min: 3})
			require.NoError(t, c.Ready(t.Context()))
			require.NoError(t, c.Stop(t.Context()))
			c.serves()
			synctest.Wait()
			require.Equal(t, 3, c.Snapshot().ready())
		})
	})
	t.Run("starts Min again after a stop", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{Min: 2})
			require.NoError(t, c.Ready(t.Context()))
			require.NoError(t, c.Stop(t.Context()))
			require.NoError(t, c.Ready(t.Context()))
			require.Equal(t, 2, c.Snapshot().ready())
		})
	})
}
