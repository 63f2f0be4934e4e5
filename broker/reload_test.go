package broker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
	"github.com/stdcrew/stdcrew/worker"
)

func TestReloadAndResize(t *testing.T) {
	b := brokertest.New(t, brokertest.Pools{"echo": {Handlers: func(w *worker.Worker) {
		worker.Handle(w, "echo", func(_ context.Context, in string) (string, error) { return in, nil })
	}}})
	p := b.Pool("echo")
	var before int
	for _, want := range []int{2, 1} {
		require.NoError(t, p.Resize(t.Context(), want, want))
		require.NoError(t, p.Ready(t.Context()))
		require.Equal(t, want, p.Snapshot().Max)
		require.NoError(t, p.Reload(t.Context(), broker.Command{}))
		require.NotEqual(t, before, p.Snapshot().Workers[0].PID)
		before = p.Snapshot().Workers[0].PID
		require.NoError(t, p.Call(t.Context(), "echo", "x", nil))
	}
}
