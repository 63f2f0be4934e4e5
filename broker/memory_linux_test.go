package broker_test

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/worker"
)

// hoard is a worker that uses as many MiB as it is told to until its call is canceled, and does other work besides.
func hoard(w *worker.Worker) {
	worker.Handle(w, "fill", func(ctx context.Context, mebibytes int) (int, error) {
		mem, err := unix.Mmap(-1, 0, mebibytes<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return 0, err
		}
		for i := 0; i < len(mem); i += os.Getpagesize() {
			mem[i] = 1
		}
		<-ctx.Done()
		return mebibytes, unix.Munmap(mem)
	})
	worker.Handle(w, "pid", func(context.Context, int) (int, error) { return os.Getpid(), nil })
}

// One worker is over the limit while others serve: its call fails and says why, no other does, and the next call finds a worker.
func TestP15_WorkerOverItsMemoryLimitIsReplaced(t *testing.T) {
	const limit, callers = 256 << 20, 4
	b := newBroker(t, "hoard", broker.PoolOptions{
		Max:     3,
		Command: broker.Command{Self: "hoard", Limits: broker.Limits{Memory: limit}},
	})
	var stop atomic.Bool
	var served atomic.Int64
	var others sync.WaitGroup
	for range callers {
		others.Go(func() {
			for !stop.Load() {
				if _, err := broker.Call[int](t.Context(), b, "hoard.pid", 0); err != nil {
					t.Errorf("a call that has nothing to do with it: %v", err)
					return
				}
				served.Add(1)
			}
		})
	}
	err := b.Call(longEnough(t), "hoard.fill", limit>>20*2, nil)
	before := served.Load()
	require.True(t, eventually(func() bool { return served.Load() > before }), "the others go on")
	stop.Store(true)
	others.Wait()

	var failed *broker.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, broker.ClassInterrupted, failed.Class)
	require.Regexp(t, `^hoard\.fill: worker hoard/\d \(pid \d+\) interrupted: stopped by us \(memory\): killed by signal 9 \(KILL\)`, err.Error())
	var exit broker.Exit
	require.ErrorAs(t, err, &exit)
	require.Equal(t, process.KillerMemory, exit.Report.Killer)

	pid, err := broker.Call[int](t.Context(), b, "hoard.pid", 0)
	require.NoError(t, err)
	require.NotEqual(t, exit.Report.PID, pid)
	require.True(t, eventually(func() bool {
		return b.Snapshot().Pools["hoard"].Counters.Ends[string(process.KillerMemory)] == 1
	}))
	s := b.Snapshot().Pools["hoard"]
	require.EqualValues(t, map[string]uint64{string(process.KillerMemory): 1}, s.Counters.Ends, "no other worker was touched")
}
