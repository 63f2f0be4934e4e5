package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/testworkers/handlers"
)

// newBroker makes a broker with one pool of this test binary's own workers, and closes it after the test.
func newBroker(t *testing.T, self string, o broker.PoolOptions) *broker.Broker {
	if o.Command.Self == "" {
		o.Command = broker.Self(self)
	}
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{self: o}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func TestCallsReachProcesses(t *testing.T) {
	b := newBroker(t, "echo", broker.PoolOptions{Max: 3})
	var wg sync.WaitGroup
	for caller := range 12 {
		wg.Go(func() {
			for i := range 50 {
				in := fmt.Sprintf("%d.%d", caller, i)
				out, err := broker.Call[string](t.Context(), b, "echo.echo", in)
				if err != nil || out != in {
					t.Errorf("sent %q, got %q: %v", in, out, err)
				}
			}
		})
	}
	wg.Wait()
	s := b.Snapshot().Pools["echo"]
	require.LessOrEqual(t, s.Counters.Started, uint64(3))
	require.Zero(t, s.Counters.Deaths)
}

func TestLargeMessagesBothWays(t *testing.T) {
	b := newBroker(t, "echo", broker.PoolOptions{Max: 1})
	in := strings.Repeat("0123456789abcdef", 5<<16) // 5 MiB
	out, err := broker.Call[string](t.Context(), b, "echo.echo", in)
	require.NoError(t, err)
	require.True(t, in == out)
}

// After the idle time no process is left; the next call is served by a new one.
func TestL2_11_IdleWorkersGoAndComeBack(t *testing.T) {
	b := newBroker(t, "echo", broker.PoolOptions{Max: 1, IdleTimeout: 50 * time.Millisecond})
	require.NoError(t, b.Call(t.Context(), "echo.echo", 1, nil))
	first := b.Snapshot().Pools["echo"].Workers[0].PID
	require.True(t, eventually(func() bool { return gone(first) }), "worker %d is still there", first)
	require.NoError(t, b.Call(t.Context(), "echo.echo", 2, nil))
	s := b.Snapshot().Pools["echo"]
	require.NotEqual(t, first, s.Workers[0].PID)
	require.EqualValues(t, 2, s.Counters.Started)
	require.Zero(t, s.Counters.Deaths)
}

func TestL2_8_ErrorsSayWhatHappened(t *testing.T) {
	b := newBroker(t, "crash", broker.PoolOptions{Max: 1})

	err := b.Call(t.Context(), "crash.kill", handlers.KillInput{}, nil)
	var failed *broker.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, broker.ClassInterrupted, failed.Class)
	require.Equal(t, broker.Unknown, failed.Delivery)
	require.ErrorIs(t, err, broker.ErrTransient)
	require.False(t, broker.Retryable(err))
	require.Regexp(t, `^crash\.kill: worker crash/0 \(pid \d+\) interrupted: killed by signal 9 .* 0 calls; may have been executed`, err.Error())

	require.NoError(t, b.Call(t.Context(), "crash.sleep", 1, nil)) // a new worker
	err = b.Call(t.Context(), "crash.exit", 3, nil)
	require.Contains(t, err.Error(), "exited with code 3")
	var exit broker.Exit
	require.ErrorAs(t, err, &exit)
	require.EqualValues(t, 1, exit.Calls)

	err = b.Call(t.Context(), "crash.nothing", 0, nil)
	require.ErrorAs(t, err, &failed)
	require.Equal(t, broker.ClassCaller, failed.Class)
	require.Contains(t, err.Error(), "exit, grandchild, kill, sleep")
}

func TestTimeoutCancelsTheHandler(t *testing.T) {
	b := newBroker(t, "echo", broker.PoolOptions{Max: 1})
	require.NoError(t, b.Call(t.Context(), "echo.echo", 1, nil))
	begin := time.Now()
	err := b.Call(t.Context(), "echo.sleep", 60_000, nil, broker.Timeout(30*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(begin), 10*time.Second)
	require.NoError(t, b.Call(t.Context(), "echo.echo", 2, nil)) // the same worker: it obeyed
	require.EqualValues(t, 1, b.Snapshot().Pools["echo"].Counters.Started)
}

// broker.Self in a program that forgot worker.Main: the error carries the remedy, and no child has started another.
func TestForgottenMainSaysSo(t *testing.T) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), envPlay+"=forgetful")
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "worker.Main the first line of main")
	require.Contains(t, string(out), "error: echo.echo: unavailable")
	require.True(t, eventually(func() bool { return len(running(envPlay+"=forgetful")) == 0 }), "still there: %v", running(envPlay+"=forgetful"))
}

// kill -9 of a host with a busy crew, one of whose workers has a grandchild: all are gone within two seconds.
func TestL2_9_NothingOutlivesAKilledHost(t *testing.T) {
	host := exec.Command(os.Args[0], filepath.Join(t.TempDir(), "grandchild"))
	host.Env = append(os.Environ(), envPlay+"=host")
	host.Stderr = os.Stderr
	stdout, err := host.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, host.Start())
	defer func() {
		_ = host.Process.Kill() // where the test has failed before
		_ = host.Wait()
	}()
	var pids []int
	require.NoError(t, json.NewDecoder(stdout).Decode(&pids))
	require.Len(t, pids, busyCrew+1)
	for _, pid := range pids {
		require.False(t, gone(pid), "process %d", pid)
	}
	require.NoError(t, host.Process.Kill())
	killed := time.Now()
	var left []int
	for time.Since(killed) < 2*time.Second {
		if left = alive(pids); len(left) == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("after two seconds %v of %v are still there", left, pids)
}

func alive(pids []int) (left []int) {
	for _, pid := range pids {
		if !gone(pid) {
			left = append(left, pid)
		}
	}
	return left
}

// gone reports that there is no such process, or only a zombie that waits for init.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "no such process")
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

// running returns the processes that have that entry in their environment.
func running(env string) (pids []string) {
	found, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range found {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), env) {
			pids = append(pids, path)
		}
	}
	return pids
}
