package brokertest_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
)

// handlers are what the crews of these tests can do.
func handlers(w *brokertest.Worker) {
	var served atomic.Int64
	brokertest.Handle(w, "echo", func(_ context.Context, in string) (string, error) { return in, nil })
	brokertest.Handle(w, "count", func(context.Context, any) (int64, error) {
		return served.Add(1), nil
	})
	brokertest.Handle(w, "fail", func(context.Context, any) (any, error) { return nil, errors.New("no luck") })
	brokertest.Handle(w, "wait", func(ctx context.Context, _ any) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
}

// newCrew makes a broker with one pool, crew. Outside of bubbles the delays of a pool are those of the clock on the wall.
func newCrew(t *testing.T, o broker.PoolOptions) *brokertest.Broker {
	if o.Max == 0 {
		o.Max = 1
	}
	if o.Restart == (broker.Restart{}) {
		o.Restart = broker.Restart{Min: time.Millisecond, Max: 10 * time.Millisecond}
	}
	return brokertest.New(t, brokertest.Pools{"crew": {Handlers: handlers, Options: o}})
}

// bothWays runs a test in a bubble and outside.
func bothWays(t *testing.T, test func(t *testing.T)) {
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, test) })
	t.Run("wall clock", test)
}

func TestHandlersAreServed(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := newCrew(t, broker.PoolOptions{InFlight: 4})
		out, err := broker.Call[string](t.Context(), b.Broker, "crew.echo", "hello")
		require.NoError(t, err)
		require.Equal(t, "hello", out)
		for i := range 3 {
			out, err := broker.Call[int](t.Context(), b.Broker, "crew.count", nil)
			require.NoError(t, err)
			require.Equal(t, i+1, out)
		}
		large := strings.Repeat("large ", 1<<18)
		out, err = broker.Call[string](t.Context(), b.Broker, "crew.echo", large)
		require.NoError(t, err)
		require.True(t, out == large)
		require.Equal(t, 4, b.Pool("crew").Snapshot().Workers[0].Places)
	})
}
