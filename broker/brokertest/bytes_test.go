package brokertest_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
	"github.com/stdcrew/stdcrew/worker"
)

// Bytes that are lent to handlers, and results that go into the caller's memory, are the same as copies.
func TestHandleBytes(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := brokertest.New(t, brokertest.Pools{"crew": {Handlers: func(w *brokertest.Worker) {
			worker.HandleBytes(w, "echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
		}}})
		var reused []byte
		var all [][]byte
		for i := range 20 {
			in := bytes.Repeat([]byte{byte(i), 1, 2}, []int{10, 10 << 10, 200 << 10}[i%3])
			require.NoError(t, b.Call(t.Context(), "crew.echo", in, &reused))
			require.True(t, bytes.Equal(in, reused))
			out, err := broker.Call[[]byte](t.Context(), b.Broker, "crew.echo", in)
			require.NoError(t, err)
			all = append(all, in, out)
		}
		for i := 0; i < len(all); i += 2 {
			require.True(t, bytes.Equal(all[i], all[i+1]), "a result that is kept has changed")
		}
	})
}
