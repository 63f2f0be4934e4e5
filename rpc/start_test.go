package rpc_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// desk is a host's end whose worker is played by hand, and the group for which calls are prepared.
type desk struct {
	*rpc.Peer
	t     *testing.T
	group *rpc.Group
	w     *wire
}

func newDesk(t *testing.T, ends makeEnds, inFlight int) *desk {
	return newDeskAs(t, ends, map[string]any{"inflight": inFlight}, rpc.HostOptions{})
}

func newDeskAs(t *testing.T, ends makeEnds, hello map[string]any, o rpc.HostOptions) *desk {
	o.Group = new(rpc.Group)
	host, w, _ := connectWireAs(t, ends, hello, o)
	synctest.Wait() // who has read the handshake reads no more
	return &desk{host.Peer, t, o.Group, w}
}

// order is a prepared call, and its caller.
type order struct {
	rpc.Prepared
	d     *desk
	freed atomic.Int32
	next  func() // called when its place is free
	done  chan result
}

func (d *desk) prepare(ctx context.Context, method string, args any) *order {
	c, err := d.group.Prepare(ctx, method, args, rpc.CallOptions{})
	require.NoError(d.t, err)
	return &order{Prepared: c, d: d, next: func() {}, done: make(chan result, 1)}
}

func (o *order) free() {
	o.freed.Add(1)
	o.next()
}

func (o *order) start() bool { return o.d.Start(o.Prepared, o.free) }

func (o *order) wait(ctx context.Context, told bool) (r result) {
	if !told {
		o.d.Rouse(o.Prepared)
	}
	r.err = o.d.Wait(ctx, o.Prepared, &r.reply, o.free)
	return r
}

// waits is wait in the background.
func (o *order) waits(ctx context.Context, told bool) {
	go func() { o.done <- o.wait(ctx, told) }() // ends with the call
}

// sleep has the caller wait for the token or for the end of ctx, as one in a queue does.
func (o *order) sleep(ctx context.Context) {
	go func() { // ends with the call
		told := false
		select {
		case <-o.Ready():
			told = true
		case <-ctx.Done():
		}
		o.done <- o.wait(ctx, told)
	}()
}

// started returns a call that has been started, whose caller sleeps, and its id.
func (d *desk) started(ctx context.Context) (*order, uint64) {
	o := d.prepare(ctx, "m", nil)
	require.True(d.t, o.start())
	o.sleep(ctx)
	return o, d.w.expect(call).ID
}

// served says that the answer n was the call's, and that its place was free before its caller knew.
func (o *order) served(n int) {
	o.d.t.Helper()
	o.got(<-o.done, n)
}

func (o *order) got(r result, n int) {
	o.d.t.Helper()
	require.NoError(o.d.t, r.err)
	require.Equal(o.d.t, n, decoded[int](o.d.t, r.reply))
	require.EqualValues(o.d.t, 1, o.freed.Load())
}

func (d *desk) answer(id uint64, n int) { d.w.send(reply, 0, id, []byte{byte(n)}) }

// reader has a call in flight that reads, where callers do. It ends with the connection.
func (d *desk) reader() (done <-chan result, id uint64) {
	done = background(d.t.Context(), d.Peer, "reader", nil)
	id = d.w.expect(call).ID
	synctest.Wait()
	return done, id
}

func ended(t *testing.T) context.Context {
	ctx, cancelCall := context.WithCancel(t.Context())
	cancelCall()
	return ctx
}

// What is started is what Call would have sent, and its caller gets what Call would have returned.
func TestStart_SendsWhatCallSends(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		d, ctx := newDesk(t, ends, 4), t.Context()
		for _, args := range []any{nil, 7, "text", msgpack.RawMessage{0x93, 1, 2, 3}, []byte("bytes"), make([]byte, 15<<10), map[string]int{"a": 1}} {
			o := rpc.CallOptions{Attempt: 3, Metadata: map[string]string{"trace": "x"}}
			called := make(chan result, 1)
			go func() { // ends with the call
				var r result
				r.err = d.Call(ctx, "m", args, &r.reply, o)
				called <- r
			}()
			want := d.w.expect(call)
			o.Budget, o.Freed = time.Hour, func() { t.Error("it is Start's that counts") } // both mean nothing
			c, err := d.group.Prepare(ctx, "m", args, o)
			require.NoError(t, err)
			require.Greater(t, c.Size(), len(want.Body))
			started := &order{Prepared: c, d: d, next: func() {}, done: make(chan result, 1)}
			require.True(t, started.start())
			started.sleep(ctx)
			got := d.w.expect(call)
			require.Equal(t, want.Body, got.Body)
			require.Equal(t, want.Flags, got.Flags)
			require.Equal(t, want.ID+2, got.ID)
			d.answer(got.ID, 5)
			started.served(5)
			d.w.send(failed, framing.NotRun, want.ID, encoded(t, map[string]any{"code": "quota", "message": "used up"}))
			require.Equal(t, "quota", remote(t, (<-called).err).Code)
		}
		require.Empty(t, d.InFlight())
	})
}

// Also an error, and what cannot be decoded, is the caller's as from Call.
func TestStart_AnswersThatAreNone(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		d := newDesk(t, ends, 4)
		o, id := d.started(t.Context())
		d.w.send(failed, framing.NotRun, id, encoded(t, map[string]any{"code": "quota", "message": "used up"}))
		require.Equal(t, &rpc.RemoteError{Code: "quota", Message: "used up", NotRun: true}, withoutMarks(remote(t, (<-o.done).err)))
		require.EqualValues(t, 1, o.freed.Load())
		o = d.prepare(t.Context(), "m", nil)
		require.True(t, o.start())
		d.answer(d.w.expect(call).ID, 1)
		<-o.Ready()
		var text string
		got, _ := delivery(t, d.Wait(t.Context(), o.Prepared, &text, o.free))
		require.Equal(t, rpc.Answered, got)
		require.EqualValues(t, 1, o.freed.Load())
	})
}

// withoutMarks is the error as others see it.
func withoutMarks(e *rpc.RemoteError) *rpc.RemoteError {
	return &rpc.RemoteError{Code: e.Code, Message: e.Message, Data: e.Data, Stack: e.Stack, NotRun: e.NotRun}
}

// The handler has the time that is left when the call is sent, whoever sends it, and not what was left when it was prepared.
func TestStart_BudgetIsWhatIsLeft(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		d := newDesk(t, ends, 8)
		budget := func(m framing.Message) any {
			d.answer(m.ID, 1)
			return decoded[[]any](t, m.Body)[1]
		}
		limited, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		byOther, byCaller := d.prepare(limited, "m", nil), d.prepare(limited, "m", nil)
		late, free := d.prepare(limited, "m", nil), d.prepare(t.Context(), "m", nil)
		time.Sleep(4*time.Second - 300*time.Nanosecond)
		require.True(t, byOther.start())
		byOther.sleep(limited)
		require.EqualValues(t, 6_000_001, budget(d.w.expect(call)), "rounded up")
		byOther.served(1)
		time.Sleep(2 * time.Second)
		byCaller.waits(limited, true)
		require.EqualValues(t, 4_000_001, budget(d.w.expect(call)))
		byCaller.served(1)
		require.True(t, free.start())
		free.sleep(t.Context())
		require.EqualValues(t, 0, budget(d.w.expect(call)), "no limit")
		free.served(1)
		time.Sleep(time.Minute)
		require.True(t, late.start(), "its caller has not noticed yet")
		require.EqualValues(t, 1, budget(d.w.expect(call)), "never no limit")
		synctest.Wait()
		late.waits(limited, false)
		<-late.done // either is right
		synctest.Wait()
		require.EqualValues(t, 1, late.freed.Load())
	})
}

// What cannot be encoded is told as Call tells it, and leaves nothing behind for the next call.
func TestPrepare_Fails(t *testing.T) {
	group := new(rpc.Group)
	for _, args := range []any{make(chan int), func() {}} {
		_, err := group.Prepare(t.Context(), "m", args, rpc.CallOptions{})
		d, cause := delivery(t, err)
		require.Equal(t, rpc.NotSent, d)
		require.ErrorIs(t, cause, rpc.ErrEncode)
	}
	_, err := group.Prepare(t.Context(), "", nil, rpc.CallOptions{})
	require.ErrorIs(t, err, rpc.ErrEncode)
}

// refusals are what keeps a call from being started.
var refusals = map[string]struct {
	hello  map[string]any
	method string
	args   any
	before func(d *desk)
	sent   bool // by its caller
}{
	"bytes that are not copied": {args: make([]byte, 16<<10), sent: true},
	"over the frame size":       {hello: map[string]any{"max_frame": 1024}, args: strings.Repeat("x", 2000), sent: true},
	"over MaxMessage":           {hello: map[string]any{"max_frame": 2048, "max_message": 2048}, args: strings.Repeat("x", 3000)},
	"unknown method":            {hello: map[string]any{"methods": []string{"other"}}},
	"much is to be written": {sent: true, before: func(d *desk) {
		for range 22 { // the first is being written, the others are over 4 MiB
			background(d.t.Context(), d.Peer, "m", make([]byte, 200<<10))
			synctest.Wait()
		}
	}},
	"goodbye": {before: func(d *desk) {
		d.w.send(goodbye, 0, 0, goodbyeBody(d.t, 0))
		time.Sleep(time.Second) // the quiet connection is read
	}},
	"closed": {before: func(d *desk) { require.NoError(d.t, d.Close()) }},
	"ended": {before: func(d *desk) {
		require.NoError(d.t, d.w.s.Close())
		<-d.Done()
	}},
	"aborted":    {before: func(d *desk) { d.Abort(errGone) }},
	"input shut": {before: func(d *desk) { require.NoError(d.t, d.CloseWrite(d.t.Context())) }},
}

// What takes time to send, or cannot be sent, is left to its caller, as if nothing had happened; and he gets what Call gets.
func TestStart_Refuses(t *testing.T) {
	for name, test := range refusals {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, ends makeEnds) {
				h := map[string]any{"inflight": 100}
				for key, value := range test.hello {
					h[key] = value
				}
				d := newDeskAs(t, ends, h, rpc.HostOptions{})
				if test.before != nil {
					test.before(d)
				}
				o, inFlight := d.prepare(t.Context(), "m", test.args), d.InFlight()
				require.False(t, o.start())
				require.Zero(t, o.freed.Load())
				require.Empty(t, o.Ready())
				require.Equal(t, inFlight, d.InFlight())
				o.Tell()
				o.sleep(t.Context())
				synctest.Wait()
				called := background(t.Context(), d.Peer, "m", test.args)
				if !test.sent {
					r := <-o.done
					require.Error(t, r.err)
					require.Equal(t, (<-called).err, r.err)
					require.EqualValues(t, 1, o.freed.Load())
					return
				}
				for range inFlight {
					d.w.expect(call)
				}
				prepared, plain := d.w.expect(call), d.w.expect(call)
				require.True(t, string(prepared.Body) == string(plain.Body))
				d.answer(prepared.ID, 1)
				d.answer(plain.ID, 1)
				o.served(1)
				require.NoError(t, (<-called).err)
			})
		})
	}
}

// comesFirst are calls that their callers have sent themselves, and when somebody else comes to start them.
var comesFirst = map[string]func(d *desk, o *order, late func()){
	"in flight": func(d *desk, o *order, late func()) {
		o.waits(d.t.Context(), false)
		id := d.w.expect(call).ID
		late()
		d.answer(id, 3)
		o.served(3)
	},
	"answered": func(d *desk, o *order, late func()) {
		o.waits(d.t.Context(), false)
		d.answer(d.w.expect(call).ID, 3)
		o.served(3)
		late()
	},
	"not sent": func(d *desk, o *order, late func()) {
		got, cause := delivery(d.t, o.wait(ended(d.t), false).err)
		require.Equal(d.t, rpc.NotSent, got)
		require.Equal(d.t, context.Canceled, cause)
		late()
	},
	"left": func(d *desk, o *order, late func()) {
		ctx, cancelCall := context.WithCancel(d.t.Context())
		o.waits(ctx, false)
		id := d.w.expect(call).ID
		time.Sleep(5 * time.Millisecond) // it looks at its context
		cancelCall()
		got, _ := delivery(d.t, (<-o.done).err)
		require.Equal(d.t, rpc.Unknown, got)
		require.Zero(d.t, o.freed.Load())
		d.w.expect(cancel)
		d.answer(id, 3)
		synctest.Wait()
		late()
	},
}

// A caller who no longer sleeps sends its call itself. Who comes to start it then has nothing to do, also where the call has ended and others have
// come since; and nobody else's call is in its place.
func TestWait_ComesBeforeStart(t *testing.T) {
	for name, test := range comesFirst {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, ends makeEnds) {
				d := newDesk(t, ends, 8)
				o := d.prepare(t.Context(), "m", nil)
				test(d, o, func() {
					var others []*order
					for range 20 { // now and then what could be used again is not
						others = append(others, d.prepare(t.Context(), "other", nil))
					}
					before := len(d.InFlight())
					require.True(t, d.Start(o.Prepared, func() { t.Error("the place is not its own") }))
					require.Len(t, d.InFlight(), before)
					for _, other := range others {
						require.True(t, other.start())
						other.sleep(t.Context())
						m := d.w.expect(call)
						require.Equal(t, "other", method(t, m))
						d.answer(m.ID, 9)
						other.served(9)
					}
				})
				require.EqualValues(t, 1, o.freed.Load())
			})
		})
	}
}

// The method is not known: nor is it when the caller comes first.
func TestWait_UnknownMethodBeforeStart(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		d := newDeskAs(t, ends, map[string]any{"inflight": 8, "methods": []string{"known"}}, rpc.HostOptions{})
		o := d.prepare(t.Context(), "m", nil)
		require.Equal(t, rpc.CodeUnknownMethod, remote(t, o.wait(t.Context(), false).err).Code)
		require.NotEqual(t, o.Prepared, d.prepare(t.Context(), "known", nil).Prepared, "somebody still looks at it")
		require.True(t, o.start())
		require.EqualValues(t, 1, o.freed.Load())
		require.Empty(t, d.InFlight())
	})
}

// A caller leaves whose call has been started: the worker is told, and its place is free when the worker has answered.
func TestWait_LeavesWhatIsStarted(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		d := newDesk(t, ends, 8)
		for _, alone := range []bool{false, true} { // in rings it has been granted the reading role then
			if !alone {
				done, id := d.reader()
				defer func() { require.NoError(t, (<-done).err) }()
				defer d.answer(id, 1)
			} else {
				d = newDesk(t, ends, 8)
			}
			ctx, cancelCall := context.WithCancel(t.Context())
			o := d.prepare(ctx, "m", nil)
			require.True(t, o.start())
			id := d.w.expect(call).ID
			synctest.Wait()
			cancelCall()
			start := time.Now()
			got, cause := delivery(t, o.wait(ctx, false).err)
			require.Equal(t, rpc.Unknown, got)
			require.Equal(t, context.Canceled, cause)
			require.Zero(t, time.Since(start))
			require.Equal(t, id, d.w.expect(cancel).ID)
			require.Zero(t, o.freed.Load(), "the handler may still run: P9")
			d.answer(id, 1)
			synctest.Wait()
			require.EqualValues(t, 1, o.freed.Load())
			require.EqualValues(t, 1, d.Stats().Late)
		}
	})
}

// One that waits behind a full pipe is withdrawn: the worker never sees it.
func TestWait_WithdrawsWhatIsQueued(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		d := newDesk(t, ends, 8)
		first := background(t.Context(), d.Peer, "first", make([]byte, 200<<10))
		d.w.begin()
		synctest.Wait()
		o, other := d.prepare(t.Context(), "withdrawn", nil), d.prepare(t.Context(), "other", nil)
		require.True(t, o.start())
		require.True(t, other.start())
		other.sleep(t.Context())
		got, cause := delivery(t, o.wait(ended(t), false).err)
		require.Equal(t, rpc.NotSent, got)
		require.Equal(t, context.Canceled, cause)
		require.EqualValues(t, 1, o.freed.Load())
		d.answer(d.w.expect(call).ID, 1)
		m := d.w.expect(call)
		require.Equal(t, "other", method(t, m), "and no cancel")
		d.answer(m.ID, 2)
		require.NoError(t, (<-first).err)
		other.served(2)
	})
}

// Who leaves in the instant in which the answer comes has the answer.
func TestWait_LeavesWhatIsAnswered(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		d := newDesk(t, ends, 8)
		done, id := d.reader()
		o := d.prepare(t.Context(), "m", nil)
		require.True(t, o.start())
		d.answer(d.w.expect(call).ID, 4)
		synctest.Wait()
		require.Len(t, o.Ready(), 1)
		o.got(o.wait(ended(t), false), 4)
		d.answer(id, 1)
		require.NoError(t, (<-done).err)
		require.Empty(t, d.InFlight())
	})
}

// A caller may stop sleeping for a reason that is not the end of its context: it waits on, and reads if it was to.
func TestWait_GoesOnWithoutSleep(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		d := newDesk(t, ends, 8)
		for range 3 {
			var all []*order
			for range 3 {
				o := d.prepare(t.Context(), "m", nil)
				require.True(t, o.start())
				all = append(all, o)
			}
			for n, o := range all {
				id := d.w.expect(call).ID
				o.waits(t.Context(), false)
				synctest.Wait()
				defer o.served(n)
				defer d.answer(id, n)
			}
		}
	})
}

// It has slept for long: from here on it looks at its context all the time.
func TestWait_LooksAtItsContext(t *testing.T) {
	bubbles(t, func(t *testing.T, ends makeEnds) {
		d := newDesk(t, ends, 8)
		d.reader()
		o := d.prepare(t.Context(), "m", nil)
		require.True(t, o.start())
		d.w.expect(call)
		ctx, cancelCall := context.WithCancel(t.Context())
		o.waits(ctx, false)
		synctest.Wait()
		cancelCall()
		start := time.Now()
		got, _ := delivery(t, (<-o.done).err)
		require.Equal(t, rpc.Unknown, got)
		require.Zero(t, time.Since(start))
		d.w.expect(cancel)
	})
}

// Where nobody reads a started call's caller is woken to read: for itself and others, and the next one after it.
func TestStart_GrantsTheReadingRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, ringEnds, 8)
		var all []*order
		for i := range 3 {
			all = append(all, d.prepare(t.Context(), "m", nil))
			require.True(t, all[i].start())
			d.w.expect(call)
		}
		synctest.Wait()
		require.Len(t, all[0].Ready(), 1)
		require.Empty(t, all[1].Ready())
		require.Empty(t, all[2].Ready())
		d.answer(4, 1)
		synctest.Wait()
		require.Empty(t, all[1].Ready(), "nobody has read it yet")
		all[0].sleep(t.Context())
		all[1].sleep(t.Context())
		all[1].served(1)
		d.answer(2, 0)
		all[0].served(0)
		synctest.Wait()
		require.Len(t, all[2].Ready(), 1, "now it is to read")
		d.answer(6, 2)
		all[2].sleep(t.Context())
		all[2].served(2)
	})
}

// Who is to read and does not come is not waited for longer than any other reader, and whoever leaves passes the role on.
func TestStart_RoleOfOneWhoIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, ringEnds, 8)
		late, next := d.prepare(t.Context(), "m", nil), d.prepare(t.Context(), "m", nil)
		require.True(t, late.start())
		require.True(t, next.start())
		next.sleep(t.Context())
		time.Sleep(10 * time.Millisecond) // the sweep has wanted the role back
		late.sleep(t.Context())
		d.answer(4, 1)
		next.served(1)
		d.answer(2, 0)
		late.served(0)
		synctest.Wait()

		leaves, next := d.prepare(t.Context(), "m", nil), d.prepare(t.Context(), "m", nil)
		require.True(t, leaves.start())
		require.True(t, next.start())
		got, _ := delivery(t, leaves.wait(ended(t), false).err)
		require.Equal(t, rpc.Unknown, got)
		next.sleep(t.Context())
		d.answer(8, 1)
		next.served(1)
		d.answer(6, 1)
		synctest.Wait()
		require.EqualValues(t, 1, leaves.freed.Load())
	})
}
