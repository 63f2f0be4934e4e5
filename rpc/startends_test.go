package rpc_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// tally is a host's end that counts the calls in each write.
type tally struct {
	*ringStream
	mu     sync.Mutex
	frames *meter
	calls  int   // of the write that goes on
	writes []int // calls in each write so far that had any
}

// tallied returns ends of which the host's counts.
func tallied() (*tally, makeEnds) {
	s := new(tally)
	s.frames = newMeter(func(h framing.Header) {
		if h.Type == call {
			s.calls++
		}
	})
	return s, func(t testing.TB) (stream, stream) {
		hostEnd, workerEnd := ringEnds(t)
		s.ringStream = hostEnd.(*ringStream)
		return s, workerEnd
	}
}

func (s *tally) TryWrite(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = 0
	n, err := s.frames.try(p, s.ringStream.TryWrite)
	if s.calls > 0 {
		s.writes = append(s.writes, s.calls)
	}
	return n, err
}

// taken returns what has been written since it was asked last.
func (s *tally) taken() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	writes := s.writes
	s.writes = nil
	return writes
}

// relayed starts so many calls, answers all of them by one write, and has each that is freed start the next one, as freed says. What follows the
// answers comes with them. It returns the calls that were started last.
func relayed(d *desk, calls int, follows []byte, freed func(next *order)) (second []*order) {
	var first []*order
	var answers []byte
	for n := range calls {
		o, id := d.started(d.t.Context())
		next := d.prepare(d.t.Context(), "next", nil)
		o.next = func() { freed(next) }
		first, second = append(first, o), append(second, next)
		answers = append(answers, frame(reply, 0, id, []byte{byte(n)})...)
	}
	synctest.Wait()
	d.w.write(append(answers, follows...))
	for n, o := range first {
		o.served(n)
	}
	synctest.Wait()
	return second
}

// Answers that are read together give places to calls that are written together.
func TestStart_OneWriteForManyAnswers(t *testing.T) {
	for _, follows := range [][]byte{nil, frame(0x7f, 0, 0, []byte("not a frame"))} { // it ends the connection, and so do the calls
		synctest.Test(t, func(t *testing.T) {
			s, ends := tallied()
			d := newDesk(t, ends, 8)
			var begun sync.Once
			second := relayed(d, 8, follows, func(next *order) {
				begun.Do(func() { s.taken() }) // those of the first
				require.True(t, next.start())
				require.Empty(t, s.taken(), "not before all that was read has been dealt with")
			})
			require.Equal(t, []int{8}, s.taken())
			for n, o := range second {
				id := d.w.expect(call).ID
				o.sleep(t.Context())
				if follows == nil {
					d.answer(id, n)
					o.served(n)
					continue
				}
				got, _ := delivery(t, (<-o.done).err)
				require.Equal(t, rpc.Unknown, got)
				require.EqualValues(t, 1, o.freed.Load())
			}
		})
	}
}

// A worker that takes one call at a time has its next one at once, and so has one from which no other answer is expected.
func TestStart_WritesAtOnceForOnePlace(t *testing.T) {
	for _, inFlight := range []int{1, 8} {
		synctest.Test(t, func(t *testing.T) {
			s, ends := tallied()
			d := newDesk(t, ends, inFlight)
			second := relayed(d, 1, nil, func(next *order) {
				s.taken()
				require.True(t, next.start())
				require.Equal(t, []int{1}, s.taken())
			})
			d.answer(d.w.expect(call).ID, 1)
			second[0].sleep(t.Context())
			second[0].served(1)
		})
	}
}

// Calls do not wait for a reader that has much to do with what it has read.
func TestStart_DoesNotWaitForASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ends := tallied()
		d := newDesk(t, ends, 4)
		second := relayed(d, 4, nil, func(next *order) {
			s.taken()
			time.Sleep(time.Millisecond)
			require.True(t, next.start())
			require.Equal(t, []int{1}, s.taken())
		})
		for n, o := range second {
			d.answer(d.w.expect(call).ID, n)
			o.sleep(t.Context())
			o.served(n)
		}
	})
}

// What has been started is written as it was, also where its caller has the answer, and the memory has gone to others, while it is being written.
func TestStart_BytesAreItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h *hooked
		d := newDesk(t, func(t testing.TB) (stream, stream) {
			a, b := ringEnds(t)
			h = &hooked{ringStream: a.(*ringStream), typ: call}
			return h, b
		}, 1) // each call is written by itself
		other, otherID := d.reader()
		o := d.prepare(t.Context(), "mine", nil)
		o.sleep(t.Context())
		h.hook = func() {
			d.answer(otherID+2, 5)
			o.served(5)
			for range 20 { // now and then what could be used again is not
				d.prepare(t.Context(), "else", nil)
			}
		}
		require.True(t, o.start())
		require.Equal(t, "mine", method(t, d.w.expect(call)))
		d.answer(otherID, 1)
		require.NoError(t, (<-other).err)
	})
}

// gatekeeper is a Freed that takes its time, and has to do with the connection.
type gatekeeper struct {
	d             *desk
	entered, open chan struct{}
}

func newGatekeeper(d *desk) gatekeeper {
	return gatekeeper{d, make(chan struct{}), make(chan struct{})}
}

func (g gatekeeper) freed() {
	close(g.entered)
	<-g.open
	_ = g.d.InFlight()
}

// A caller has its answer when its place is free, and not before: it may call again at once. So it is for one that sleeps, whether it looks at its
// context yet or not, and for one that leaves in that moment.
func TestFreed_BeforeTheCallerKnows(t *testing.T) {
	for name, begin := range map[string]func(d *desk, ctx context.Context, freed func()) <-chan result{
		"started": func(d *desk, ctx context.Context, freed func()) <-chan result {
			o := d.prepare(ctx, "m", nil)
			o.next = freed
			require.True(d.t, o.start())
			o.sleep(ctx)
			return o.done
		},
		"started, and no longer asleep": func(d *desk, ctx context.Context, freed func()) <-chan result {
			o := d.prepare(ctx, "m", nil)
			o.next = freed
			require.True(d.t, o.start())
			o.waits(ctx, false)
			return o.done
		},
		"sent by its caller": func(d *desk, ctx context.Context, freed func()) <-chan result {
			o := d.prepare(ctx, "m", nil)
			o.next = freed
			o.waits(ctx, true)
			return o.done
		},
		"called": func(d *desk, ctx context.Context, freed func()) <-chan result {
			return background(ctx, &counted{d.Peer, freed}, "m", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, ends makeEnds) {
				for _, wary := range []bool{false, true} {
					for _, leaves := range []bool{false, true} {
						d := newDesk(t, ends, 8)
						keeper := newGatekeeper(d)
						other, otherID := d.reader()
						ctx, cancelCall := context.WithCancel(t.Context())
						done := begin(d, ctx, keeper.freed)
						id := d.w.expect(call).ID
						if wary {
							time.Sleep(10 * time.Millisecond)
						}
						synctest.Wait()
						d.answer(id, 5)
						<-keeper.entered
						if leaves {
							cancelCall()
						}
						time.Sleep(10 * time.Millisecond)
						synctest.Wait()
						require.Empty(t, done)
						close(keeper.open)
						r := <-done
						require.NoError(t, r.err)
						require.Equal(t, 5, decoded[int](t, r.reply))
						cancelCall()
						d.answer(otherID, 1)
						require.NoError(t, (<-other).err)
					}
				}
			})
		})
	}
}

// The answer may come before the caller waits for it: while its call is being written.
func TestFreed_BeforeTheCallerWaits(t *testing.T) {
	for _, prepared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var h *hooked
			d := newDesk(t, func(t testing.TB) (stream, stream) {
				a, b := ringEnds(t)
				h = &hooked{ringStream: a.(*ringStream), typ: call}
				return h, b
			}, 2)
			keeper := newGatekeeper(d)
			other, otherID := d.reader()
			h.hook = func() {
				d.answer(otherID+2, 5)
				<-keeper.entered
			}
			var done <-chan result
			if prepared {
				o := d.prepare(t.Context(), "m", nil)
				o.next = keeper.freed
				o.waits(t.Context(), false)
				done = o.done
			} else {
				done = background(t.Context(), &counted{d.Peer, keeper.freed}, "m", nil)
			}
			<-keeper.entered
			synctest.Wait()
			require.Empty(t, done)
			close(keeper.open)
			require.NoError(t, (<-done).err)
			d.answer(otherID, 1)
			require.NoError(t, (<-other).err)
		})
	}
}

// endingsOfSleep are the ways in which a connection ends while callers sleep whose calls have been started.
var endingsOfSleep = map[string]struct {
	hold  bool
	end   func(d *desk)
	cause error
}{
	"lost":  {false, func(d *desk) { _ = d.w.s.Close() }, io.EOF},
	"abort": {false, func(d *desk) { d.Abort(errGone) }, errGone},
	"close": {false, func(d *desk) { _ = d.Close() }, rpc.ErrClosed},
	"drain": {true, func(d *desk) {
		_ = d.w.s.Close()
		d.Drain(errGone)
	}, errGone},
	"violation": {false, func(d *desk) { d.w.send(0x7f, 0, 0, nil) }, nil},
}

// The connection ends: callers who sleep are woken, and told the truth about their calls.
func TestStart_ConnectionEndsWhileCallersSleep(t *testing.T) {
	for name, test := range endingsOfSleep {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, ends makeEnds) {
				for _, behind := range []bool{false, true} { // a full pipe
					d := newDeskAs(t, ends, map[string]any{"inflight": 8}, rpc.HostOptions{HoldLost: test.hold})
					var first <-chan result
					want := rpc.Unknown
					if behind {
						want = rpc.NotSent
						first = background(t.Context(), d.Peer, "first", make([]byte, 200<<10))
						d.w.begin()
						synctest.Wait()
					}
					var all []*order
					for range 3 {
						if behind {
							o := d.prepare(t.Context(), "m", nil)
							require.True(t, o.start())
							o.sleep(t.Context())
							all = append(all, o)
						} else {
							o, _ := d.started(t.Context())
							all = append(all, o)
						}
						synctest.Wait()
					}
					test.end(d)
					for _, o := range all {
						got, cause := delivery(t, (<-o.done).err)
						require.Equal(t, want, got)
						if !behind && test.cause != nil {
							require.Equal(t, test.cause, cause)
						}
						require.EqualValues(t, 1, o.freed.Load())
					}
					if behind {
						require.Error(t, (<-first).err)
					}
				}
			})
		})
	}
}

// A goodbye wakes those whose calls it has not accepted, and leaves the others asleep.
func TestStart_GoodbyeWhileCallersSleep(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		d := newDesk(t, ends, 8)
		accepted, id := d.started(t.Context())
		refused, _ := d.started(t.Context())
		d.w.send(goodbye, 0, 0, goodbyeBody(t, id))
		got, cause := delivery(t, (<-refused.done).err)
		require.Equal(t, rpc.NotSent, got)
		require.True(t, errors.Is(cause, rpc.ErrGoodbye))
		require.EqualValues(t, 1, refused.freed.Load())
		require.Empty(t, accepted.done)
		d.answer(id, 1)
		accepted.served(1)
	})
}
