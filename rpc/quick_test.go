package rpc_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
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
		first := time.Now()
		for id := uint64(2); time.Since(first) < 50*time.Millisecond; id += 4 {
			began := time.Now()
			w.calls(id, time.Millisecond, 0)
			w.answered(id+2, 1)
			require.Zero(t, time.Since(began))
			w.answered(id, 1)
		}
		began := time.Now()
		w.calls(1000, 10*time.Millisecond, 0)
		w.answered(1002, 1)
		require.NotZero(t, time.Since(began))
		w.answered(1000, 1)
	})
}

// A call in fifty that takes almost as long as the sweep does not see is seen by the clock: others lose a fiftieth of the time by it.
func TestQuick_HandlersThatAreSlowNowAndThen(t *testing.T) {
	quick(t, sleeper, func(w *wire, _ *writes) {
		var lost time.Duration
		began := time.Now()
		for round := range uint64(1000) {
			slow, start := 2+100*round, time.Now()
			w.calls(slow, append([]time.Duration{900 * time.Microsecond}, make([]time.Duration, 49)...)...)
			for got, waited := 0, false; got < 50; got++ {
				if id := w.expect(reply).ID; id != slow && !waited {
					lost, waited = lost+time.Since(start), true
				}
			}
		}
		require.Less(t, lost, time.Since(began)/40)
	})
}

// Several that are slow in a row hold others up for three milliseconds at most.
func TestQuick_SeveralAreSlow(t *testing.T) {
	for _, nap := range []time.Duration{300 * time.Microsecond, 990 * time.Microsecond, time.Second} {
		quick(t, sleeper, func(w *wire, _ *writes) {
			began := time.Now()
			w.calls(2, nap, nap, nap, nap, nap, nap, 0)
			for range 7 {
				if w.expect(reply).ID == 14 {
					require.LessOrEqual(t, time.Since(began), 3*time.Millisecond)
				}
			}
		})
	}
}

// Where writing takes a goroutine nothing is held back.
func TestQuick_WithoutTryWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker, w, _ := announceWire(t, memoryEnds, serving(64, rpc.HandlerFunc(sleeper)))
		worker.RunInline()
		synctest.Wait()
		began := time.Now()
		w.calls(2, 0, 10*time.Millisecond, 0)
		w.answered(2, 1)
		w.answered(6, 1)
		require.LessOrEqual(t, time.Since(began), 2*time.Millisecond)
		w.answered(4, 1)
	})
}

// A host reads for its callers: its handlers always have goroutines.
func TestQuick_NotOnTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *pair
		p = connect(t, ringEnds, setup{inFlight: 8, host: rpc.HostOptions{Handler: rpc.HandlerFunc(sleeper)}, handler: func(context.Context, *rpc.Request) (any, error) {
			go func() { _ = p.worker.Call(context.Background(), "sleep", time.Minute, nil, rpc.CallOptions{}) }()
			time.Sleep(10 * time.Millisecond)
			return nil, nil
		}})
		p.host.RunInline()
		began := time.Now()
		require.NoError(t, p.host.Call(t.Context(), "m", nil, nil, rpc.CallOptions{}))
		require.Equal(t, 10*time.Millisecond, time.Since(began))
		time.Sleep(2 * time.Minute)
	})
}

// "started" says that a handler is about to run, and so does not wait for those after it, nor for its own.
func TestQuick_Started(t *testing.T) {
	quick(t, sleeper, func(w *wire, _ *writes) {
		began := time.Now()
		w.write(append(frame(call, 0, 2, callBody(t, "m", 0)), frame(call, framing.WantStarted, 4, callBody(t, "m", time.Second))...))
		w.answered(2, 1)
		require.EqualValues(t, 4, w.expect(started).ID)
		require.Zero(t, time.Since(began))
		w.answered(4, 1)
	})
}

// Who calls the host beside a handler takes the reading from it, which says nothing of how quick handlers are.
func TestQuick_PingFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *pair
		p = connect(t, quickEnds, setup{inFlight: 8, handler: func(ctx context.Context, r *rpc.Request) (any, error) {
			if r.Method == "ping" {
				pinged := make(chan error)
				go func() { pinged <- p.worker.Ping(context.Background()) }()
				return nil, <-pinged
			}
			return sleeper(ctx, r)
		}})
		for range 5 {
			began := time.Now()
			require.NoError(t, p.host.Call(t.Context(), "ping", nil, nil, rpc.CallOptions{}))
			require.Zero(t, time.Since(began))
			time.Sleep(20 * time.Millisecond)
			slow := background(t.Context(), p.host, "m", 500*time.Microsecond)
			synctest.Wait()
			require.NoError(t, p.host.Call(t.Context(), "m", 0, nil, rpc.CallOptions{}))
			require.Equal(t, 500*time.Microsecond, time.Since(began)-20*time.Millisecond, "where calls are read")
			require.NoError(t, (<-slow).err)
		}
	})
}

// A handler may close our direction: the answers of others are written first.
func TestQuick_CloseWriteByAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var worker *rpc.Peer
		set := make(chan struct{})
		worker, w, _ := announceWire(t, quickEnds, serving(8, rpc.HandlerFunc(func(ctx context.Context, r *rpc.Request) (any, error) {
			<-set
			if r.Method == "close" {
				return nil, worker.CloseWrite(ctx)
			}
			return nil, nil
		})))
		close(set)
		began := time.Now()
		w.write(append(frame(call, 0, 2, callBody(t, "m", 0)), frame(call, 0, 4, callBody(t, "close", 0))...))
		w.answered(2, 1)
		require.Zero(t, time.Since(began))
	})
}

// goexit ends its goroutine while it is encoded.
type goexit struct{}

func (goexit) MarshalMsg([]byte) ([]byte, error) { runtime.Goexit(); return nil, nil }

func TestQuick_GoexitWhileTheAnswerIsEncoded(t *testing.T) {
	quick(t, func(context.Context, *rpc.Request) (any, error) { return goexit{}, nil }, func(w *wire, _ *writes) {
		began := time.Now()
		w.calls(2, 0, 0)
		for range 2 {
			code, _ := answer(t, w.expect(failed))
			require.Equal(t, rpc.CodePanic, code)
		}
		require.Zero(t, time.Since(began))
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
