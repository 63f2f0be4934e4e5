package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/rpc"
)

// A worker that stops itself in the middle of a call is found out, although nobody leaves and nothing times out.
func TestHeartbeat_FrozenWorkersAreReplaced(t *testing.T) {
	beat := broker.PoolOptions{Heartbeat: 100 * time.Millisecond}
	punish(t, []crime{fatal("frozen", "the worker hangs", "stopped by us (hang): killed by signal 9").with(beat).because(rpc.ErrHang)})
}

// A stranger's SIGSTOP is as good as the worker's own, and what the worker had not read is repeated on its successor.
func TestHeartbeat_StoppedWorkersAreReplaced(t *testing.T) {
	leavesNothing(t)
	b := newBroker(t, "echo", broker.PoolOptions{Max: 1, Heartbeat: 100 * time.Millisecond})
	require.NoError(t, b.Call(longEnough(t), "echo.echo", 1, nil))
	first := b.Snapshot().Pools["echo"].Workers[0].PID
	require.NoError(t, unix.Kill(first, unix.SIGSTOP))
	require.True(t, eventually(func() bool { return frozen(first) }))
	require.NoError(t, b.Call(longEnough(t), "echo.echo", 2, nil), "it was never read")
	s := b.Snapshot().Pools["echo"]
	require.NotEqual(t, first, s.Workers[0].PID)
	require.EqualValues(t, 1, s.Retries)
	require.EqualValues(t, 1, s.Counters.Deaths)
	require.EqualValues(t, 1, s.Counters.Ends["hang"])
}

// Handlers that take many periods are let alone: the SDK answers beside them, also where they run on the goroutine that reads.
func TestHeartbeat_SlowHandlersAreLetAlone(t *testing.T) {
	leavesNothing(t)
	for _, inFlight := range []int{1, 4} {
		b := newBroker(t, "echo", broker.PoolOptions{Max: 1, InFlight: inFlight, Heartbeat: 200 * time.Millisecond})
		errs := make(chan error, inFlight)
		for range inFlight {
			go func() { errs <- b.Call(longEnough(t), "echo.sleep", 2000, nil) }() // ends with the call
		}
		for range inFlight {
			require.NoError(t, <-errs)
		}
		require.EqualValues(t, 1, b.Snapshot().Pools["echo"].Counters.Started)
	}
}

// aStopThatMatters is so many heartbeats of playPatient's that a host which is stopped for so long has missed them all.
const aStopThatMatters = 10 * patientBeat

const patientBeat = 100 * time.Millisecond

// A host that was stopped itself finds its silent workers innocent when it goes on.
func TestHeartbeat_StoppedHostBlamesNobody(t *testing.T) {
	leavesNothing(t)
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), envPlay+"=patient")
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, host.Start())
	reaped := false
	t.Cleanup(func() {
		if !reaped {
			_ = host.Process.Kill()
			_ = host.Wait()
		}
	})
	said := json.NewDecoder(out)
	var waiting int
	require.NoError(t, said.Decode(&waiting), "calls that wait for their answers")
	require.NoError(t, host.Process.Signal(unix.SIGSTOP))
	require.True(t, eventually(func() bool { return frozen(host.Process.Pid) }))
	stopped := time.Now()
	eventually(func() bool { return time.Since(stopped) > aStopThatMatters })
	require.NoError(t, host.Process.Signal(unix.SIGCONT))
	for range waiting {
		var failed string
		require.NoError(t, said.Decode(&failed))
		require.Empty(t, failed)
	}
	reaped = true
	require.NoError(t, host.Wait())
}

// playPatient makes calls that take longer than the stop, says how many, and what becomes of each.
func playPatient() int {
	_ = os.Unsetenv(envPlay) // the workers are to be workers
	const workers, inFlight = 2, 2
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
		"echo": {Command: broker.Self("echo"), Max: workers, InFlight: inFlight, Heartbeat: patientBeat},
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer b.Close()
	errs := make(chan error, workers*inFlight)
	for range workers * inFlight {
		go func() { // ends with the call
			errs <- b.Call(context.Background(), "echo.sleep", int((aStopThatMatters + 5*patientBeat).Milliseconds()), nil)
		}()
	}
	eventually(func() bool {
		running := 0
		for _, w := range b.Snapshot().Pools["echo"].Workers {
			running += w.InFlight
		}
		return running == workers*inFlight
	})
	say := json.NewEncoder(os.Stdout)
	_ = say.Encode(workers * inFlight)
	for range workers * inFlight {
		text := ""
		if err := <-errs; err != nil {
			text = err.Error()
		}
		_ = say.Encode(text)
	}
	return 0
}
