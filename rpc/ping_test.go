package rpc_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

func TestPingsAreTold(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, freed := connectWire(t, ends, 1, rpc.HostOptions{})
		var pings []chan error
		var bodies [][]byte
		for range 3 {
			done := make(chan error, 1)
			go func() { done <- host.Ping(t.Context()) }() // ends with its pong
			pings = append(pings, done)
			bodies = append(bodies, w.expect(ping).Body)
		}
		ctx, cancelPing := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { left <- host.Ping(ctx) }() // ends with ctx
		late := w.expect(ping).Body
		cancelPing()
		require.Equal(t, context.Canceled, <-left)

		w.send(pong, 0, 0, late)
		for i := len(bodies) - 1; i >= 0; i-- {
			w.send(pong, 0, 0, bodies[i])
			require.NoError(t, <-pings[i])
		}
		require.EqualValues(t, 1, host.Stats().Late)
		require.Empty(t, freed, "a ping takes no place")
	})
}

// A ping is no call, though its id stands in the same table: no reply to that id is taken for its pong.
func TestRepliesEndNoPing(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 1, rpc.HostOptions{})
		done := make(chan error, 1)
		go func() { done <- host.Ping(t.Context()) }() // ends with its pong
		body := w.expect(ping).Body
		for _, typ := range []uint8{reply, failed} {
			w.send(typ, 0, decoded[uint64](t, body), []byte{0x80})
		}
		synctest.Wait()
		require.Empty(t, done)
		require.EqualValues(t, 2, host.Stats().Late)
		w.send(pong, 0, 0, body)
		require.NoError(t, <-done)
	})
}

func TestPingsGoBothWays(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		p := connect(t, ends, setup{inFlight: 4, handler: echo})
		var wg sync.WaitGroup
		for _, peer := range []interface{ Ping(context.Context) error }{p.host, p.worker, p.host, p.worker} {
			wg.Go(func() {
				for range 50 {
					if err := peer.Ping(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestLargePingsAreNotAnswered(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		worker, w, _ := announceWire(t, ends, serving(1, newGate()))
		w.send(ping, 0, 0, make([]byte, 65))
		w.send(ping, 0, 0, make([]byte, 64))
		require.Len(t, w.expect(pong).Body, 64)
		require.EqualValues(t, 1, worker.Stats().Ignored)
	})
}

func TestPingFailsWithTheConnection(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		host, w, _ := connectWire(t, ends, 1, rpc.HostOptions{})
		done := make(chan error, 1)
		go func() { done <- host.Ping(t.Context()) }() // ends with Abort
		w.expect(ping)
		host.Abort(errGone)
		require.Equal(t, errGone, <-done)
		require.Equal(t, errGone, host.Ping(t.Context()))
	})
}
