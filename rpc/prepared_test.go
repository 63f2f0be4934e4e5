package rpc_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/rpc"
)

// groupWire is connectWire with the group that prepares calls for the host.
func groupWire(t *testing.T, ends makeEnds, inFlight int) (*rpc.Group, *counted, *wire, chan struct{}) {
	g := new(rpc.Group)
	host, w, freed := connectWire(t, ends, inFlight, rpc.HostOptions{Group: g})
	return g, host, w, freed
}

// A call that cannot be started at once is declined, and its caller told, while the caller gives up waiting for another reason than its context, such as
// a timeout of the queue's. The token is not taken for one that comes later.
func TestPrepared_DeclinedWhileItsCallerWakesForAnotherReason(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		g, host, w, freed := groupWire(t, ends, 4)
		for range 3 { // what is left behind in a call meets its successor
			c, err := g.Prepare(t.Context(), "m", make([]byte, 20<<10), rpc.CallOptions{}) // has a tail: Start declines
			require.NoError(t, err)
			free := func() { freed <- struct{}{} }
			require.False(t, host.Start(c, free))
			c.Tell()
			done := make(chan error, 1)
			go func() {
				host.Rouse(c)
				done <- host.Wait(t.Context(), c, nil, free)
			}()
			go func() {
				m := w.expect(call)
				time.Sleep(20 * time.Millisecond) // long enough to become wary
				w.send(reply, 0, m.ID, []byte{0x01})
			}()
			synctest.Wait()
			require.NoError(t, <-done)
			<-freed
			require.Empty(t, freed)
			require.Empty(t, c.Ready(), "a token was left")
		}
		require.NoError(t, host.Peer.Close())
	})
}

// Started, and answered, while the caller wakes for another reason.
func TestPrepared_StartedWhileItsCallerWakesForAnotherReason(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		for _, leaves := range []bool{false, true} {
			g, host, w, freed := groupWire(t, ends, 4)
			ctx, end := context.WithCancel(t.Context())
			free := func() { freed <- struct{}{} }
			c, err := g.Prepare(ctx, "m", "x", rpc.CallOptions{})
			require.NoError(t, err)
			require.True(t, host.Start(c, free))
			m := w.expect(call)
			if leaves {
				end()
			}
			done := make(chan error, 1)
			go func() {
				host.Rouse(c)
				done <- host.Wait(ctx, c, nil, free)
			}()
			if leaves {
				require.Equal(t, m.ID, w.expect(cancel).ID)
				require.ErrorIs(t, <-done, context.Canceled)
			}
			w.send(reply, 0, m.ID, []byte{0x01})
			if !leaves {
				require.NoError(t, <-done)
			}
			<-freed
			synctest.Wait()
			require.Empty(t, freed)
			end()
			require.NoError(t, host.Peer.Close())
		}
	})
}

// lateStream is a stream whose TryWrite returns long after what it wrote has been read.
type lateStream struct {
	tryStream
	sent func()
}

func (s *lateStream) TryWrite(p []byte) (int, error) {
	n, err := s.tryStream.TryWrite(p)
	if s.sent != nil {
		s.sent()
	}
	return n, err
}

// Its answer comes, and its caller has gone on to another call, likely in the same memory, before whoever started it has returned from writing it.
func TestPrepared_AnsweredWhileItIsBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hostEnd lateStream
		g, host, w, freed := groupWire(t, func(t testing.TB) (host, worker stream) {
			host, worker = ringEnds(t)
			hostEnd.tryStream = host.(tryStream)
			return &hostEnd, worker
		}, 4)
		c, err := g.Prepare(t.Context(), "m", "asked", rpc.CallOptions{})
		require.NoError(t, err)
		var answer string
		var next rpc.Prepared
		prepared := make(chan error, 1)
		go func() {
			<-c.Ready()
			assert.NoError(t, host.Peer.Wait(t.Context(), c, &answer, nil))
			var err error
			next, err = g.Prepare(t.Context(), "m", "next", rpc.CallOptions{})
			prepared <- err
		}()
		hostEnd.sent = func() {
			hostEnd.sent = nil
			m := w.expect(call)
			w.send(reply, 0, m.ID, encoded(t, "answered"))
			require.NoError(t, <-prepared)
		}
		free := func() { freed <- struct{}{} }
		require.True(t, host.Start(c, free))
		require.Equal(t, "answered", answer)
		require.Len(t, freed, 1)
		require.True(t, host.Start(next, free))
		require.Contains(t, string(w.expect(call).Body), "next")
		require.NoError(t, host.Peer.Close())
	})
}

// Answers that come together give their places on while the reader holds writes back for them: all that they start goes out, in the order of the ids; or,
// where writing fails, or the connection is closed meanwhile, every call ends, each place is given back once, and nothing stays shut.
func TestPrepared_StartedByTheReader(t *testing.T) {
	for _, ending := range []string{"answers", "writing fails", "closed", "aborted", "drained"} {
		t.Run(ending, func(t *testing.T) {
			bubbles(t, func(t *testing.T, ends makeEnds) { startedByTheReader(t, ends, ending) })
		})
	}
}

func startedByTheReader(t *testing.T, ends makeEnds, ending string) {
	const places, calls = 4, 24
	g, host, w, _ := groupWire(t, ends, places)
	p := host.Peer
	var prepared [calls]rpc.Prepared
	var freed [calls]atomic.Int32
	for i := range prepared {
		var err error
		ctx, end := context.WithTimeout(t.Context(), time.Hour) // has its budget put in when it is sent
		defer end()
		prepared[i], err = g.Prepare(ctx, "m", i, rpc.CallOptions{})
		require.NoError(t, err)
	}
	var next atomic.Int32
	var place func(i int) func()
	grant := func() {
		if i := int(next.Add(1)) - 1; i < calls {
			if i == 2*places { // in the midst of a batch
				switch ending {
				case "closed":
					go p.Close()
				case "aborted":
					p.Abort(errGone)
				case "drained":
					go p.Drain(errGone)
				}
			}
			if !p.Start(prepared[i], place(i)) {
				prepared[i].Tell()
			}
		}
	}
	place = func(i int) func() { return func() { freed[i].Add(1); grant() } }
	results := make([]chan error, calls)
	for i := range prepared {
		results[i] = make(chan error, 1)
		go func() {
			<-prepared[i].Ready()
			results[i] <- p.Wait(t.Context(), prepared[i], nil, place(i))
		}()
	}
	for range places {
		grant()
	}
	go func() {
		last := uint64(0)
		for batch := 0; ; batch++ {
			var answers []byte
			for range places {
				m, err := w.read()
				for err == nil && m.Type != call {
					m, err = w.read()
				}
				if err != nil {
					return
				}
				if m.ID <= last {
					t.Errorf("id %d after %d", m.ID, last)
				}
				last = m.ID
				var head []any
				if err := msgpack.Unmarshal(m.Body, &head); err != nil || fmt.Sprint(head[1]) == "0" {
					t.Error("budget", head, err)
				}
				answers = append(answers, frame(reply, 0, m.ID, []byte{0x01})...)
			}
			if ending == "writing fails" && batch == 2 {
				closeRead(t, w.s)
			}
			if _, err := w.s.Write(answers); err != nil {
				return
			}
		}
	}()
	if ending == "answers" {
		for _, r := range results {
			require.NoError(t, <-r)
		}
	} else {
		time.Sleep(time.Second)
		p.Abort(errGone)
		for _, r := range results {
			<-r
		}
	}
	require.NoError(t, p.CloseWrite(t.Context()), "the gate is open")
	_ = p.Close()
	synctest.Wait()
	for i := range freed {
		require.EqualValues(t, 1, freed[i].Load(), "place of call %d", i)
	}
}
