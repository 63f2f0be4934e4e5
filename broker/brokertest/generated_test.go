package brokertest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
)

// pair has what a generator makes of a struct: an array of two small numbers. Reflection would make a map of it, and take no array.
type pair struct{ A, B byte }

func (p *pair) MarshalMsg(b []byte) ([]byte, error) { return append(b, 0x92, p.A, p.B), nil }

func (p *pair) UnmarshalMsg(b []byte) ([]byte, error) {
	if len(b) < 3 || b[0] != 0x92 {
		return b, errors.New("no pair")
	}
	p.A, p.B = b[1], b[2]
	return b[3:], nil
}

// Generated code is found on both sides, whether a handler or a caller has the value or its address.
func TestGeneratedCode(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		b := brokertest.New(t, brokertest.Pools{"crew": {Handlers: func(w *brokertest.Worker) {
			brokertest.Handle(w, "value", func(_ context.Context, in pair) (pair, error) { return pair{in.B, in.A}, nil })
			brokertest.Handle(w, "address", func(_ context.Context, in *pair) (*pair, error) { return &pair{in.B, in.A}, nil })
			brokertest.Handle(w, "none", func(context.Context, pair) (*pair, error) { return nil, nil })
		}}})
		for _, method := range []string{"crew.value", "crew.address"} {
			for _, in := range []any{pair{1, 2}, &pair{1, 2}} {
				value, err := broker.Call[pair](t.Context(), b.Broker, method, in)
				require.NoError(t, err)
				require.Equal(t, pair{2, 1}, value)
				address, err := broker.Call[*pair](t.Context(), b.Broker, method, in)
				require.NoError(t, err)
				require.Equal(t, &pair{2, 1}, address)
			}
		}
		nothing, err := broker.Call[*pair](t.Context(), b.Broker, "crew.none", pair{})
		require.NoError(t, err)
		require.Nil(t, nothing)
		_, err = broker.Call[pair](t.Context(), b.Broker, "crew.value", "text")
		var failed *broker.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, broker.ClassCaller, failed.Class, "the handler was not called")
		require.ErrorContains(t, err, "no pair")
	})
}
