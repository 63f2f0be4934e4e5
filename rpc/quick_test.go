package rpc_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

// sleeper is a handler that sleeps for as long as its argument says.
func sleeper(_ context.Context, r *rpc.Request) (any, error) {
	var nap time.Duration
	if err := r.Decode(&nap); err != nil {
		return nil, err
	}
	time.Sleep(nap)
	return nil, nil
}

// quick is a worker in a bubble that takes 64 calls at a time, and whose handlers have been quick so far. The frames that it writes at a time are
// counted.
func quick(t *testing.T, h rpc.HandlerFunc, test func(w *wire, writes *writes)) {
	synctest.Test(t, func(t *testing.T) {
		counted := new(writes)
		_, w, _ := announceWire(t, func(t testing.TB) (host, worker stream) {
			host, worker = quickEnds(t)
			counted.tryStream = worker.(plainStream).tryStream
			return host, plainStream{counted, true}
		}, serving(64, h))
		counted.take()
		test(w, counted)
	})
}

// writes is a stream that counts what is written at a time.
type writes struct {
	tryStream
	mu    sync.Mutex
	count int
}

func (s *writes) TryWrite(p []byte) (int, error) {
	s.mu.Lock()
	s.count++
	s.mu.Unlock()
	return s.tryStream.TryWrite(p)
}

// take returns how many there were since the last time.
func (s *writes) take() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.count
	s.count = 0
	return n
}

// calls sends calls with these arguments, all at once. Their ids are 2, 4 and so on.
func (w *wire) calls(first uint64, args ...time.Duration) {
	var b []byte
	for i, arg := range args {
		b = append(b, frame(call, 0, first+2*uint64(i), callBody(w.t, "sleep", arg))...)
	}
	w.write(b)
}

// answered expects answers to so many calls, in their order.
func (w *wire) answered(first uint64, count int) {
	for i := range count {
		require.Equal(w.t, first+2*uint64(i), w.expect(reply).ID)
	}
}

// Handlers that do not wait run one behind the other, where the calls are read, and what they answer to calls that came together is one write.
func TestQuick_AnswersGoTogether(t *testing.T) {
	running := 0 // not guarded: the race detector is the test
	quick(t, func(context.Context, *rpc.Request) (any, error) {
		running++
		return nil, nil
	}, func(w *wire, writes *writes) {
		for i := range 10 {
			w.calls(uint64(2+20*i), make([]time.Duration, 10)...)
			w.answered(uint64(2+20*i), 10)
			require.Equal(t, 1, writes.take())
		}
		require.Equal(t, 100, running)
	})
}

// A handler that waits holds others up for two milliseconds at most, also those that have answered already. From then on nobody waits for it, and
// for a while none runs where the calls are read.
func TestQuick_HandlerThatWaits(t *testing.T) {
	quick(t, sleeper, func(w *wire, _ *writes) {
		began := time.Now()
		w.calls(2, 0, 0, time.Minute, 0)
		w.answered(2, 2)
		w.answered(8, 1)
		require.LessOrEqual(t, time.Since(began), 2*time.Millisecond)

		began = time.Now()
		w.calls(10, 100*time.Millisecond, 101*time.Millisecond, 0)
		w.answered(14, 1)
		require.Zero(t, time.Since(began))
		w.answered(10, 1)
		w.answered(12, 1)
		require.Equal(t, 101*time.Millisecond, time.Since(began))

		time.Sleep(10 * time.Second) // they are given another chance
		began = time.Now()
		w.calls(16, time.Second, 0)
		w.answered(18, 1)
		require.NotZero(t, time.Since(began))
		w.answered(16, 1)
		w.answered(6, 1)
	})
}

// A worker's first calls have goroutines of their own: they are slow anywhere. Handlers that are quick then run where the calls are read.
func TestQuick_NotAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, _ := announceWire(t, ringEnds, serving(64, rpc.HandlerFunc(sleeper)))
		began := time.Now()
		w.calls(2, 10*time.Millisecond, 0)
		w.answered(4, 1)
		require.Zero(t, time.Since(began))
		w.answered(2, 1)
		time.Sleep(10 * time.Millisecond)
		began = time.Now()
		w.calls(6, 10*time.Millisecond, 0)
		w.answered(8, 1)
		require.NotZero(t, time.Since(began))
		w.answered(6, 1)
	})
}

// Answers do not wait until all calls that came together have been served.
func TestQuick_ManyAnswers(t *testing.T) {
	const together = 32
	quick(t, sleeper, func(w *wire, writes *writes) {
		args := make([]time.Duration, together+2)
		args[together+1] = time.Minute
		began := time.Now()
		w.calls(2, args...)
		w.answered(2, together)
		require.Zero(t, time.Since(began))
		require.Equal(t, 1, writes.take())
		w.answered(2+2*together, 1)
		require.NotZero(t, time.Since(began))
		w.answered(4+2*together, 1)
	})
}

// Long ones even less.
func TestQuick_LongAnswers(t *testing.T) {
	quick(t, func(context.Context, *rpc.Request) (any, error) {
		return make([]byte, 12<<10), nil
	}, func(w *wire, writes *writes) {
		w.calls(2, make([]time.Duration, 5)...)
		w.answered(2, 5)
		require.Equal(t, 2, writes.take(), "36 KiB are enough")
	})
}

// They wait even less for calls that take their time, as long as that is short.
func TestQuick_OverdueAnswers(t *testing.T) {
	quick(t, sleeper, func(w *wire, _ *writes) {
		began := time.Now()
		w.calls(2, 20*time.Microsecond, 40*time.Microsecond, time.Minute)
		w.answered(2, 2)
		require.Equal(t, 60*time.Microsecond, time.Since(began))
		w.answered(6, 1)
	})
}

// Who answers at length has others read meanwhile.
func TestQuick_VeryLongAnswer(t *testing.T) {
	quick(t, func(context.Context, *rpc.Request) (any, error) { return make([]byte, 3<<20), nil }, func(w *wire, _ *writes) {
		began := time.Now()
		w.calls(2, 0)
		w.begin()
		w.send(ping, 0, 0, []byte("1"))
		synctest.Wait()
		require.Equal(t, "1", string(w.expect(pong).Body))
		require.Zero(t, time.Since(began))
		w.answered(2, 1)
	})
}

// Calls back to the host, and what is too long to be written at once, need somebody who reads meanwhile.
func TestQuick_CallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *pair
		p = connect(t, quickEnds, setup{inFlight: 8, host: rpc.HostOptions{Handler: rpc.HandlerFunc(echo)}, handler: func(ctx context.Context, r *rpc.Request) (any, error) {
			var back []byte
			err := p.worker.Call(ctx, "echo", make([]byte, 2<<20), &back, rpc.CallOptions{})
			return back, err
		}})
		began := time.Now()
		for range 3 {
			var got []byte
			require.NoError(t, p.host.Call(t.Context(), "m", nil, &got, rpc.CallOptions{}))
			require.Len(t, got, 2<<20)
			p.worker.RunInline()
		}
		require.Zero(t, time.Since(began))
	})
}
