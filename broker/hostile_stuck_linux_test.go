package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/rpc"
)

// A worker that stops itself is woken up by the ladder so that it can end, whether its callers leave or CallTimeout is over.
func TestL1_FrozenWorkersAreReplaced(t *testing.T) {
	left := crime{
		mode: "frozen", leave: true, class: broker.ClassContext, delivery: broker.Unknown, is: context.Canceled, dies: true,
		others: broker.ClassInterrupted, othersSay: `because a canceled call of "misbehave" did not end`,
	}
	overdue := fatal("frozen").because(broker.ErrCallTimeout)
	graces := broker.PoolOptions{
		CancelGrace: 50 * time.Millisecond, RetireGrace: 50 * time.Millisecond,
		StopGrace: 50 * time.Millisecond, CloseGrace: 500 * time.Millisecond,
	}
	timed := graces
	timed.CallTimeout = 500 * time.Millisecond // a loaded machine takes some of it for a good call, too
	punish(t, []crime{left.with(graces), overdue.with(timed)})
}

// A worker that has closed its standard input is of no use, but what it has answered counts.
func TestP6_ClosedStdin(t *testing.T) {
	c := harmless("closes-stdin").with(broker.PoolOptions{CloseGrace: 500 * time.Millisecond})
	c.dies = true
	punish(t, []crime{c})
}

// The place of a canceled call that the worker does not end is free only when the worker is dead: no other call ever joins it.
func TestP9_DeafToCancel(t *testing.T) {
	leavesNothing(t)
	exits := make(chan broker.Exit, 1)
	b, heard := hostile(t, broker.PoolOptions{
		InFlight: 1, CancelGrace: 100 * time.Millisecond, ExitHook: func(e broker.Exit) { exits <- e },
	}, "deaf-cancel")
	first := pidOf(t, b)
	ctx, cancel := context.WithCancel(longEnough(t))
	// Ends when it has been heard that misbehave is under way.
	go func() {
		heard.await(t.Context(), "about to play deaf-cancel")
		cancel()
	}()
	err := b.Call(ctx, "hostile.misbehave", 0, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, broker.ClassContext, failure(t, err).Class)
	require.NotEqual(t, first, pidOf(t, b))
	exit := <-exits
	require.Equal(t, "misbehave", exit.Culprit)
	require.Equal(t, first, exit.Report.PID)
	require.EqualValues(t, "cancel", exit.Report.Killer)
	require.EqualValues(t, 15, exit.Report.Signal)
}

// A worker with other calls is not ended for the sake of one: it gets no further calls, and the others are answered.
func TestP9_OthersFinishOnAWorkerThatIsDeafToCancel(t *testing.T) {
	leavesNothing(t)
	b, heard := hostile(t, broker.PoolOptions{InFlight: crowd, CancelGrace: 50 * time.Millisecond, RetireGrace: patience}, "deaf-cancel")
	first := pidOf(t, b)
	others := holdCalls(t, b, crowd-2)
	bell, ring := context.WithCancel(longEnough(t))
	bellRung := make(chan error, 1)
	// Ends when the bell is rung, which has all calls of hold answered.
	go func() { bellRung <- b.Call(bell, "hostile.hold", nil, nil) }()
	ctx, cancel := context.WithCancel(longEnough(t))
	// Ends when it has been heard that misbehave is under way.
	go func() {
		heard.await(t.Context(), "about to play deaf-cancel")
		cancel()
	}()
	require.ErrorIs(t, b.Call(ctx, "hostile.misbehave", crowd-1, nil), context.Canceled)
	require.True(t, eventually(func() bool { return b.Snapshot().Pools["hostile"].Workers[0].Retiring }))
	require.False(t, gone(first))
	ring()
	for range crowd - 2 {
		require.NoError(t, <-others)
	}
	<-bellRung // it was answered, or it left
	require.NotEqual(t, first, pidOf(t, b))
	require.True(t, eventually(func() bool { return gone(first) }))
}

// bigArgs do not fit into a pipe that nobody reads.
var bigArgs = make([]byte, 1<<20)

// A worker that does not read is ended. What it had read is lost with it; of what it had not, nothing: all of that was certainly not executed
// and is repeated on its successor.
func TestP6_StuffedWorkersAreReplaced(t *testing.T) {
	leavesNothing(t)
	const read, unread = 3, 4
	b, _ := hostile(t, broker.PoolOptions{InFlight: crowd, WriteStall: 150 * time.Millisecond}, "stuffed")
	first := pidOf(t, b)
	lost := holdCalls(t, b, read)
	require.NoError(t, b.Call(longEnough(t), "hostile.misbehave", read, nil))

	served := make(chan int, unread+1)
	call := func(args any) {
		pid, err := broker.Call[int](longEnough(t), b, "hostile.pid", args)
		if err != nil {
			t.Errorf("%v", err)
		}
		served <- pid
	}
	for range unread {
		go call(nil) // ends with the call
	}
	call(bigArgs)
	for range unread + 1 {
		pid := <-served
		require.NotEqual(t, first, pid)
		require.NotZero(t, pid)
	}
	for range read {
		err := <-lost
		failed := failure(t, err)
		require.Equal(t, broker.ClassInterrupted, failed.Class, "%v", err)
		require.Equal(t, broker.Unknown, failed.Delivery, "%v", err)
		require.ErrorIs(t, err, rpc.ErrWriteStall)
		require.Contains(t, err.Error(), "stderr: about to play stuffed")
	}
	counted := b.Snapshot().Pools["hostile"]
	require.EqualValues(t, unread+1, counted.Retries)
	require.EqualValues(t, 1, counted.Counters.Deaths)
	require.Zero(t, counted.Counters.InternalErrors)
	require.True(t, eventually(func() bool { return gone(first) }))
}

// A worker that is deaf to everything is killed after the three graces, each of which can be set.
func TestP29_P31_DeafWorkersAreKilled(t *testing.T) {
	leavesNothing(t)
	for _, graces := range [][3]time.Duration{{80, 10, 10}, {10, 80, 10}, {10, 10, 80}} {
		heard := newEar()
		o := hostileOptions(broker.PoolOptions{
			StopGrace: graces[0] * time.Millisecond, CloseGrace: graces[1] * time.Millisecond, KillGrace: graces[2] * time.Millisecond,
		}, "deaf")
		b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"hostile": o}, Log: heard.logger()})
		require.NoError(t, err)
		first := pidOf(t, b)

		begin := time.Now()
		require.NoError(t, b.Pool("hostile").Stop(longEnough(t)))
		require.GreaterOrEqual(t, time.Since(begin), 100*time.Millisecond)
		require.True(t, gone(first))

		second := pidOf(t, b)
		require.NotEqual(t, first, second)
		require.ErrorContains(t, b.Close(), "did not stop when asked: stopped by us (shutdown): killed by signal 9 (KILL)")
		require.True(t, gone(second))
	}
}

// A grandchild that holds the dead worker's pipes keeps neither the answer nor the successor back, whether the killing of the group reaches it
// or not.
func TestP30_P45_GrandchildrenThatHoldThePipes(t *testing.T) {
	leavesNothing(t)
	for _, mode := range []string{"grandchild", "daemon"} {
		for _, inFlight := range []int{1, crowd} {
			b, _ := hostile(t, broker.PoolOptions{InFlight: inFlight, DrainTimeout: 100 * time.Millisecond}, mode)
			first := pidOf(t, b)
			others := holdCalls(t, b, inFlight-1)
			grandchild, err := broker.Call[int](longEnough(t), b, "hostile.misbehave", inFlight-1)
			require.NoError(t, err, "%s: it had answered", mode)
			for range inFlight - 1 {
				fatal(mode).judgeOther(t, <-others)
			}
			require.True(t, eventually(func() bool { return b.Snapshot().Pools["hostile"].Workers[0].PID != first }), mode) // its exit is noticed
			require.NotEqual(t, first, pidOf(t, b), mode)
			require.True(t, eventually(func() bool { return gone(first) && gone(grandchild) }), "%s %d is still there", mode, grandchild)
		}
	}
}
