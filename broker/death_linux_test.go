package broker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/worker"
)

// note is a call that leaves a trace.
type note struct {
	Path string // of the file to which a line is appended with the key and the worker's pid
	Key  string
	Wait bool // the call goes on until it is canceled
	Data []byte
}

// takeNotes is the worker that is told to.
func takeNotes(w *worker.Worker) {
	worker.Handle(w, "note", func(ctx context.Context, in note) (string, error) {
		file, err := os.OpenFile(in.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
		if err != nil {
			return "", err
		}
		defer file.Close()
		if _, err := fmt.Fprintf(file, "%s %d\n", in.Key, os.Getpid()); err != nil {
			return "", err
		}
		if in.Wait {
			<-ctx.Done()
		}
		return in.Key, ctx.Err()
	})
}

// notes returns the pids of the workers that executed each call.
func notes(t *testing.T, path string) map[string][]int {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	all := map[string][]int{}
	for line := range strings.Lines(string(text)) {
		var key string
		var pid int
		_, err := fmt.Sscan(line, &key, &pid)
		require.NoError(t, err, "%q", line)
		all[key] = append(all[key], pid)
	}
	return all
}

// frozen says whether a process is stopped, with all its threads.
func frozen(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if _, rest, _ := strings.Cut(string(stat), ") "); err != nil || !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return len(threads) > 0
}

// unread is how many bytes lie in the fullest of the pipes that a process has open. For a moment this process is another reader.
func unread(pid int) (most int) {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, path := range fds {
		if to, err := os.Readlink(path); err != nil || !strings.HasPrefix(to, "pipe:") {
			continue
		}
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		if n, err := unix.IoctlGetInt(fd, unix.TIOCINQ); err == nil {
			most = max(most, n)
		}
		_ = unix.Close(fd)
	}
	return most
}

// A worker that has stopped reading is killed while calls lie in its pipe: they were certainly not executed, so the broker makes them again, and
// each is executed once. Of the call that was running nobody knows.
func TestP15_CallsInADeadWorkersPipeAreRepeated(t *testing.T) {
	const piled, size = 5, 1000
	for inFlight, calls := range map[int][]int{ // sizes
		1: {size},
		8: {size, size, size, size, size, 100 << 10, size}, // more than the pipe takes
	} {
		t.Run(fmt.Sprint(inFlight), func(t *testing.T) {
			b := newBroker(t, "notes", broker.PoolOptions{Max: 1, InFlight: inFlight})
			path := filepath.Join(t.TempDir(), "notes")
			call := func(in note) <-chan error {
				done := make(chan error, 1)
				go func() { // ends with the call
					in.Path = path
					out, err := broker.Call[string](t.Context(), b, "notes.note", in)
					if err == nil && out != in.Key {
						err = fmt.Errorf("call %q got the answer of %q", in.Key, out)
					}
					done <- err
				}()
				return done
			}
			require.NoError(t, <-call(note{Key: "first"}))
			dying := notes(t, path)["first"][0]
			var running <-chan error
			if inFlight > 1 {
				running = call(note{Key: "running", Wait: true})
				require.True(t, eventually(func() bool { return len(notes(t, path)["running"]) == 1 }))
			}
			require.NoError(t, unix.Kill(dying, unix.SIGSTOP))
			require.True(t, eventually(func() bool { return frozen(dying) }))
			var lying []<-chan error
			for i, size := range calls {
				lying = append(lying, call(note{Key: fmt.Sprint("lying", i), Data: make([]byte, size)}))
				if i < piled {
					require.True(t, eventually(func() bool { return unread(dying) > (i+1)*size }))
				}
			}
			if len(calls) > piled {
				require.True(t, eventually(func() bool { return unread(dying) > 60<<10 }))
			}
			require.NoError(t, unix.Kill(dying, unix.SIGKILL))

			for i, done := range lying {
				require.NoError(t, <-done, "call %d", i)
			}
			if running != nil {
				var failed *broker.Error
				require.ErrorAs(t, <-running, &failed)
				require.Equal(t, broker.ClassInterrupted, failed.Class)
				require.Equal(t, broker.Unknown, failed.Delivery)
				require.Equal(t, 1, failed.Attempts)
				require.Contains(t, failed.Error(), "killed by signal 9")
			}
			for key, pids := range notes(t, path) {
				require.Len(t, pids, 1, "executions of call %q", key)
				require.Equal(t, strings.HasPrefix(key, "lying"), pids[0] != dying, "call %q", key)
			}
			s := b.Snapshot().Pools["notes"]
			require.EqualValues(t, len(calls), s.Retries)
			require.EqualValues(t, 2, s.Counters.Started)
		})
	}
}

// A worker that a stranger tells to end cancels what it runs. Its caller, who still waits, has canceled nothing: the worker was lost, and a call
// that may be executed twice is made again.
func TestCallsOfWorkersThatStrangersTerminate(t *testing.T) {
	for _, inFlight := range []int{1, 8} {
		soon := broker.Restart{Min: time.Millisecond, Max: time.Millisecond} // none of the workers ever answers a call, so their successors wait
		b := newBroker(t, "notes", broker.PoolOptions{Max: 1, InFlight: inFlight, Restart: soon})
		path := filepath.Join(t.TempDir(), "notes")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		call := func(key string, options ...broker.CallOption) {
			go func() { done <- b.Call(ctx, "notes.note", note{Path: path, Key: key, Wait: true}, nil, options...) }() // ends with the call
		}
		ran := func(key string, times int) (pids []int) {
			require.True(t, eventually(func() bool {
				if _, err := os.Stat(path); err != nil {
					return false
				}
				pids = notes(t, path)[key]
				return len(pids) == times
			}))
			return pids
		}
		call("once")
		require.NoError(t, unix.Kill(ran("once", 1)[0], unix.SIGTERM))
		err := <-done
		failed := failure(t, err)
		require.Equal(t, broker.ClassInterrupted, failed.Class, "%v", err)
		require.Equal(t, broker.Unknown, failed.Delivery, "%v", err)
		require.ErrorIs(t, err, broker.ErrTransient)
		require.Len(t, notes(t, path)["once"], 1)

		call("again", broker.Idempotent())
		require.NoError(t, unix.Kill(ran("again", 1)[0], unix.SIGTERM))
		pids := ran("again", 2)
		require.NotEqual(t, pids[0], pids[1])
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	}
}
