package broker_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

var update = flag.Bool("update", false, "rewrite testdata/errors.golden; docs/errors.md lists what is in it")

// golden holds the text of every kind of error that a user of this package can see, and what a program can know of it: two lines for each,
// and an empty one. The documentation is compared with it by internal/arch.
const golden = "testdata/errors.golden"

// errorCase makes one kind of error happen in the pool "images", whose method is "resize".
type errorCase struct {
	name    string
	options broker.PoolOptions
	play    process.Func // the worker; nil: it answers every call with its arguments
	from    string       // what returns the error, if not a call
	fail    func(*scene) error
	outside bool // of a bubble: it tries to start real programs, on Linux
}

// TestErrorTexts pins the texts. They may be changed, but not by accident: people search for them, and docs/errors.md explains them.
func TestErrorTexts(t *testing.T) {
	if runtime.GOOS != "linux" && *update {
		t.Fatal("some of the errors can only be had on Linux")
	}
	page, err := os.ReadFile(golden)
	require.True(t, err == nil || *update, "%v", err)
	entries := strings.Split(strings.TrimSuffix(string(page), "\n\n"), "\n\n")
	var got []string
	for i, cs := range errorCases() {
		t.Run(cs.name, func(t *testing.T) {
			if cs.outside && runtime.GOOS != "linux" {
				t.Skip("real processes are not supported on this system")
			}
			entry := cs.run(t)
			got = append(got, entry)
			if !*update {
				require.Less(t, i, len(entries), "not in %s: %s", golden, entry)
				require.Equal(t, entries[i], entry)
			}
		})
	}
	if *update {
		require.Len(t, got, len(errorCases()), "not all of them were run")
		require.NoError(t, os.WriteFile(golden, []byte(strings.Join(got, "\n\n")+"\n\n"), 0o644))
	} else {
		require.Len(t, entries, len(errorCases()), "entries of %s", golden)
	}
}

// run returns the entry of the error.
func (cs *errorCase) run(t *testing.T) (entry string) {
	body := func(t *testing.T) {
		s := newScene(t, cs)
		err := cs.fail(s)
		require.Error(t, err)
		entry = plain(err.Error()) + "\n" + cs.traits(t, err)
	}
	if cs.outside {
		body(t)
	} else {
		synctest.Test(t, body)
	}
	return entry
}

// traits says what a program can know of an error.
func (cs *errorCase) traits(t *testing.T, err error) string {
	var e *broker.Error
	if !errors.As(err, &e) {
		require.NotEmpty(t, cs.from, "a call fails with an Error")
		require.False(t, broker.Retryable(err))
		return "from " + cs.from
	}
	transient, retryable := not(errors.Is(err, broker.ErrTransient), "transient"), not(broker.Retryable(err), "retryable")
	return fmt.Sprintf("%v, %v, %s, %s", e.Class, e.Delivery, transient, retryable)
}

func not(is bool, word string) string {
	if is {
		return word
	}
	return "not " + word
}

var (
	pids  = regexp.MustCompile(`\bpid \d+`)
	arch  = regexp.MustCompile(`\blinux/\w+`)
	times = regexp.MustCompile(`\b(\d+(\.\d+)?(h|ms|m|s|µs|ns))+\b`)
)

// plain returns an error's text on one line, without what differs from run to run.
func plain(text string) string {
	text = strings.ReplaceAll(text, "\n", " | ")
	text = arch.ReplaceAllString(pids.ReplaceAllString(text, "pid N"), "linux/ARCH")
	return times.ReplaceAllString(text, "TIME")
}

// scene is a broker with one pool, in which an error is to happen.
type scene struct {
	*broker.Broker
	t *testing.T

	mu    sync.Mutex
	procs []*process.Process
}

func newScene(t *testing.T, cs *errorCase) *scene {
	s := &scene{t: t}
	o := cs.options
	if o.Max == 0 {
		o.Max = 1
	}
	if !cs.outside {
		play := cs.play
		if play == nil {
			play = server(rpc.WorkerOptions{}, nil)
		}
		o.Start = func(_ process.Command, po process.Options) (*process.Process, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			proc := process.StartFunc(play, po)
			s.procs = append(s.procs, proc)
			return proc, nil
		}
	}
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"images": o}})
	require.NoError(t, err)
	s.Broker = b
	t.Cleanup(func() { _ = b.Close() }) // some workers have to be forced
	return s
}

// resize makes a call.
func (s *scene) resize(ctx context.Context, opts ...broker.CallOption) error {
	return s.Call(ctx, "images.resize", "cat.jpeg", nil, opts...)
}

// begin makes a call on a goroutine of its own, and returns when it has come as far as it can. The result comes from the channel.
func (s *scene) begin(ctx context.Context) <-chan error {
	result := make(chan error, 1)
	go func() { result <- s.resize(ctx) }() // ends with the call
	synctest.Wait()
	return result
}

// kill kills the first worker, as a stranger would.
func (s *scene) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(s.t, s.procs[0].Signal(process.KILL))
}

// plainCall is how most errors come about: by a call, whatever the worker does.
func plainCall(s *scene) error { return s.resize(s.t.Context()) }

// act is a call as the worker's handler sees it.
type act struct {
	*process.Memory
	ctx  context.Context
	req  *rpc.Request
	peer *rpc.Peer
	exit chan<- int      // ends the process
	over <-chan struct{} // closed when it has ended
}

// server is a worker that serves until its input ends, it exits by its handler's wish, or it is killed. One that takes one call at a time ends with that
// call. Without a handler it answers calls with their arguments.
func server(o rpc.WorkerOptions, handle func(*act) (any, error)) process.Func {
	return func(m *process.Memory) int {
		exit, over := make(chan int, 8), make(chan struct{})
		defer close(over)
		var peer *rpc.Peer
		o := o
		o.Handler = rpc.HandlerFunc(func(ctx context.Context, r *rpc.Request) (any, error) {
			if handle != nil {
				return handle(&act{Memory: m, ctx: ctx, req: r, peer: peer, exit: exit, over: over})
			}
			var in string
			err := r.Decode(&in)
			return in, err
		})
		peer, err := rpc.Announce(context.Background(), stdio{m}, o)
		if err != nil || peer.Ready() != nil {
			<-m.Killed
			return 1
		}
		defer peer.Close()
		go func() { // ends when the input does, and the call that it waits for
			_ = peer.Serve()
			if o.Hello.InFlight == 0 {
				<-peer.Goodbye("", false)
			}
			exit <- 0
		}()
		select {
		case code := <-exit:
			return code
		case <-m.Killed:
			return 0
		}
	}
}

// stdio is an in-memory process's own view of its standard streams.
type stdio struct{ m *process.Memory }

func (s stdio) Read(p []byte) (int, error)  { return s.m.Stdin.Read(p) }
func (s stdio) Write(p []byte) (int, error) { return s.m.Stdout.Write(p) }
func (s stdio) Close() error                { return errors.Join(s.m.Stdin.Close(), s.m.Stdout.Close()) }

// greeted is a worker that does the handshake and then what it likes.
func greeted(then func(m *process.Memory, peer *rpc.Peer)) process.Func {
	return func(m *process.Memory) int {
		peer, err := rpc.Announce(context.Background(), stdio{m}, rpc.WorkerOptions{})
		if err != nil || peer.Ready() != nil {
			return 1
		}
		defer peer.Close()
		then(m, peer)
		return 0
	}
}

// exits is a worker that says something on its standard streams and exits.
func exits(code int, stdout, stderr string) process.Func {
	return func(m *process.Memory) int {
		fmt.Fprint(m.Stderr, stderr)
		fmt.Fprint(m.Stdout, stdout)
		return code
	}
}

// never is a handler that does not return before its process ends.
func never(a *act) (any, error) {
	<-a.over
	return nil, nil
}

// obeys is a handler that returns when it is canceled.
func obeys(a *act) (any, error) {
	<-a.ctx.Done()
	return nil, a.ctx.Err()
}

// fails is a handler that fails.
func fails(err error) process.Func {
	return server(rpc.WorkerOptions{}, func(*act) (any, error) { return nil, err })
}
