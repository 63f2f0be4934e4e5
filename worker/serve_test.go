package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"golang.org/x/sync/errgroup"

	"github.com/stdcrew/stdcrew/rpc"
)

// pipeEnd is one end of a connection in memory.
type pipeEnd struct {
	*io.PipeReader
	*io.PipeWriter
}

func pipeEnds() (host, worker pipeEnd) {
	hostIn, workerOut := io.Pipe()
	workerIn, hostOut := io.Pipe()
	return pipeEnd{hostIn, hostOut}, pipeEnd{workerIn, workerOut}
}

func (e pipeEnd) CloseWrite() error { return e.PipeWriter.Close() }

func (e pipeEnd) Close() error {
	_ = e.PipeWriter.Close()
	return e.PipeReader.Close()
}

// session is a Worker that serves in memory, and its host.
type session struct {
	host   *rpc.Peer
	end    pipeEnd
	cancel context.CancelFunc // of Serve's context
	served chan error
}

// newSession connects a host to w. It is over at the latest when the test is.
func newSession(t *testing.T, w *Worker, o rpc.HostOptions) *session {
	s, err := trySession(t, w, o)
	require.NoError(t, err)
	return s
}

func trySession(t *testing.T, w *Worker, o rpc.HostOptions) (*session, error) {
	ctx, cancel := context.WithCancel(t.Context())
	end, workerEnd := pipeEnds()
	s := &session{end: end, cancel: cancel, served: make(chan error, 1)}
	go func() { s.served <- w.Serve(ctx, workerEnd.PipeReader, workerEnd.PipeWriter) }() // ends with the connection
	var err error
	s.host, err = rpc.Connect(ctx, end, o)
	t.Cleanup(func() {
		cancel()
		_ = end.Close()
		if s.host != nil {
			_ = s.host.Close()
		}
		settleBubble()
	})
	return s, err
}

// settleBubble lets what looks around now and then, or sleeps in a handler, see that it is over: the time of a bubble stands still when its test
// has returned.
func settleBubble() { time.Sleep(2 * time.Hour) }

func (s *session) call(t *testing.T, method string, in, out any) error {
	return s.host.Call(t.Context(), method, in, out, rpc.CallOptions{})
}

// hangUp ends the worker's input.
func (s *session) hangUp(t *testing.T) {
	require.NoError(t, s.host.CloseWrite(t.Context()))
}

func echo(_ context.Context, in msgpack.RawMessage) (msgpack.RawMessage, error) { return in, nil }

// untilDone waits for the end of its context.
func untilDone(ctx context.Context, _ struct{}) (struct{}, error) {
	<-ctx.Done()
	return struct{}{}, ctx.Err()
}

// eachInFlight runs a test in a bubble, for a worker with one call at a time and for one with several.
func eachInFlight(t *testing.T, test func(t *testing.T, inFlight int)) {
	for _, n := range []int{1, 8} {
		t.Run(fmt.Sprintf("in flight %d", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, n) })
		})
	}
}

type point struct {
	X, Y int
	Name string `msgpack:",omitempty"`
}

func TestServe(t *testing.T) {
	eachInFlight(t, func(t *testing.T, inFlight int) {
		w := New(Options{InFlight: inFlight})
		Handle(w, "echo", echo)
		Handle(w, "mirror", func(_ context.Context, p point) (point, error) { return point{X: -p.X, Y: p.Y, Name: p.Name}, nil })
		Handle(w, "length", func(_ context.Context, b []byte) (int, error) { return len(b), nil })
		Handle(w, "nothing", func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
		Handle(w, "maybe", func(_ context.Context, p *point) (*point, error) { return p, nil })
		s := newSession(t, w, rpc.HostOptions{Welcome: rpc.Welcome{Slot: 3}})

		require.Equal(t, inFlight, s.host.Capacity())
		require.Equal(t, []string{"echo", "length", "maybe", "mirror", "nothing"}, s.host.Hello().Methods)
		require.Equal(t, []string{"cancel", "busy", "started"}, s.host.Hello().Caps)
		require.Equal(t, sdk, s.host.Hello().SDK)

		var p point
		require.NoError(t, s.call(t, "mirror", point{X: 1, Y: 2, Name: "P"}, &p))
		require.Equal(t, point{X: -1, Y: 2, Name: "P"}, p)
		var n int
		require.NoError(t, s.call(t, "length", make([]byte, 1<<20), &n), "in several frames")
		require.Equal(t, 1<<20, n)
		var text string
		require.NoError(t, s.call(t, "echo", "raw", &text))
		require.Equal(t, "raw", text)
		require.NoError(t, s.call(t, "nothing", nil, nil))
		require.NoError(t, s.call(t, "nothing", struct{}{}, nil))
		var none *point
		require.NoError(t, s.call(t, "maybe", nil, &none))
		require.Nil(t, none)

		s.hangUp(t)
		require.NoError(t, <-s.served, "the end of input is no error")
	})
}

func TestErrorsOfHandlers(t *testing.T) {
	eachInFlight(t, func(t *testing.T, inFlight int) {
		w := New(Options{InFlight: inFlight})
		Handle(w, "plain", func(context.Context, struct{}) (int, error) { return 0, errors.New("out of paper") })
		Handle(w, "coded", func(context.Context, struct{}) (int, error) {
			data, err := msgpack.Marshal(map[string]int{"tray": 2})
			return 0, errors.Join(fmt.Errorf("printing: %w", &Error{Code: "paper", Message: "out of paper", Data: data}), err)
		})
		Handle(w, "panic", func(context.Context, struct{}) (int, error) { panic("jam") })
		Handle(w, "channel", func(context.Context, struct{}) (chan int, error) { return make(chan int), nil })
		Handle(w, "point", func(_ context.Context, p point) (point, error) { return p, nil })
		s := newSession(t, w, rpc.HostOptions{})

		fails := func(method string, in any) *Error {
			var remote *Error
			require.ErrorAs(t, s.call(t, method, in, nil), &remote)
			return remote
		}
		require.Equal(t, &Error{Code: "error", Message: "out of paper"}, fails("plain", nil))

		coded := fails("coded", nil)
		require.Equal(t, "paper", coded.Code)
		require.False(t, coded.NotRun)
		var data map[string]int
		require.NoError(t, msgpack.Unmarshal(coded.Data, &data))
		require.Equal(t, map[string]int{"tray": 2}, data)

		panicked := fails("panic", nil)
		require.Equal(t, "panic", panicked.Code)
		require.Equal(t, "jam", panicked.Message)
		require.Contains(t, panicked.Stack, "TestErrorsOfHandlers")

		require.Equal(t, "bad_result", fails("channel", nil).Code)

		bad := fails("point", "not a point")
		require.Equal(t, "bad_args", bad.Code)
		require.True(t, bad.NotRun)
		require.Contains(t, bad.Message, "point")

		unknown := fails("absent", nil)
		require.Equal(t, "unknown_method", unknown.Code)
		require.True(t, unknown.NotRun)

		require.NoError(t, s.call(t, "point", point{}, nil), "the worker is none the worse for it")
	})
}

// A host need not know the methods: the worker refuses for itself.
func TestUnknownMethodWithoutAnnouncement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(Options{})
		for i := range maxAnnounced + 1 {
			Handle(w, fmt.Sprint("method", i), echo)
		}
		s := newSession(t, w, rpc.HostOptions{})
		require.Empty(t, s.host.Hello().Methods)
		require.NoError(t, s.call(t, "method1024", 1, nil))
		var remote *Error
		require.ErrorAs(t, s.call(t, "absent", nil, nil), &remote)
		require.Equal(t, "unknown_method", remote.Code)
		require.True(t, remote.NotRun)
	})
}

func TestAnnounced(t *testing.T) {
	require.Equal(t, []string{"a"}, announced([]string{"a"}))
	long := make([]string, 200)
	for i := range long {
		long[i] = strings.Repeat("m", maxMethodName)
	}
	require.Empty(t, announced(long), "they do not fit into a hello")
	require.Empty(t, announced(make([]string, maxAnnounced+1)))
}

func TestCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		w := New(Options{InFlight: AnyInFlight})
		Handle(w, "sleep", func(context.Context, struct{}) (struct{}, error) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Minute)
			running.Add(-1)
			return struct{}{}, nil
		})
		s := newSession(t, w, rpc.HostOptions{Welcome: rpc.Welcome{InFlight: 8}})
		require.Equal(t, 8, s.host.Capacity())
		began := time.Now()
		var calls errgroup.Group
		for range 8 {
			calls.Go(func() error { return s.call(t, "sleep", nil, nil) })
		}
		require.NoError(t, calls.Wait())
		require.EqualValues(t, 8, most.Load())
		require.Equal(t, time.Minute, time.Since(began))
	})
}

func TestCancelReachesHandler(t *testing.T) {
	eachInFlight(t, func(t *testing.T, inFlight int) {
		w := New(Options{InFlight: inFlight})
		ended := make(chan error, 1)
		Handle(w, "wait", func(ctx context.Context, _ struct{}) (struct{}, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return struct{}{}, ctx.Err()
		})
		s := newSession(t, w, rpc.HostOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		require.ErrorIs(t, s.host.Call(ctx, "wait", nil, nil, rpc.CallOptions{}), context.Canceled)
		require.ErrorIs(t, <-ended, context.Canceled)
		synctest.Wait() // until it has answered, its place is taken

		err := s.host.Call(t.Context(), "wait", nil, nil, rpc.CallOptions{Budget: time.Minute})
		var remote *Error
		require.ErrorAs(t, err, &remote)
		require.Equal(t, "deadline", remote.Code)
		require.ErrorIs(t, <-ended, context.DeadlineExceeded)
	})
}

// The end of input ends the contexts of handlers; those that heed it end Serve.
func TestL2_9_EndOfInputEndsHandlers(t *testing.T) {
	eachInFlight(t, func(t *testing.T, inFlight int) {
		w := New(Options{InFlight: inFlight})
		cleaned := false
		Handle(w, "wait", func(ctx context.Context, _ struct{}) (struct{}, error) {
			<-ctx.Done()
			time.Sleep(300 * time.Millisecond)
			cleaned = true
			return struct{}{}, nil
		})
		s := newSession(t, w, rpc.HostOptions{})
		go func() { _ = s.call(t, "wait", nil, nil) }() // ends with the session
		synctest.Wait()
		time.Sleep(time.Second) // the reading goroutine is another one by now
		began := time.Now()
		s.hangUp(t)
		require.NoError(t, <-s.served)
		require.True(t, cleaned)
		require.Less(t, time.Since(began), 500*time.Millisecond)
	})
}

// A handler that ignores the end is left behind after its grace.
func TestP29_DeafHandlerIsLeftBehind(t *testing.T) {
	for _, test := range []struct{ option, grace time.Duration }{{0, time.Second}, {time.Minute, time.Minute}, {-1, 0}} {
		t.Run(test.option.String(), func(t *testing.T) {
			eachInFlight(t, func(t *testing.T, inFlight int) {
				w := New(Options{InFlight: inFlight, ExitGrace: test.option})
				Handle(w, "deaf", func(context.Context, struct{}) (struct{}, error) {
					time.Sleep(time.Hour)
					return struct{}{}, nil
				})
				s := newSession(t, w, rpc.HostOptions{})
				go func() { _ = s.call(t, "deaf", nil, nil) }() // ends with the session
				time.Sleep(time.Second)
				began := time.Now()
				s.hangUp(t)
				require.NoError(t, <-s.served)
				took := time.Since(began)
				require.GreaterOrEqual(t, took, test.grace)
				require.Less(t, took, test.grace+time.Second/2)
			})
		})
	}
}

func TestServeEndsWithContext(t *testing.T) {
	eachInFlight(t, func(t *testing.T, inFlight int) {
		w := New(Options{InFlight: inFlight})
		Handle(w, "wait", untilDone)
		goodbye := make(chan string, 1)
		s := newSession(t, w, rpc.HostOptions{Goodbye: func(reason string) { goodbye <- reason }})
		answer := make(chan error, 1)
		go func() { answer <- s.call(t, "wait", nil, nil) }() // ends with the handler
		time.Sleep(time.Second)
		s.cancel()
		require.ErrorIs(t, <-s.served, context.Canceled)
		require.Error(t, <-answer)
		require.NotEmpty(t, <-goodbye)
	})
}

// Without a Close method the reader cannot be called off. Serve returns all the same.
func TestServeEndsWithContextWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end, workerEnd := pipeEnds()
		defer end.Close()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { // ends with ctx
			served <- New(Options{}).Serve(ctx, struct{ io.Reader }{workerEnd}, struct{ io.Writer }{workerEnd})
		}()
		host, err := rpc.Connect(t.Context(), end, rpc.HostOptions{})
		require.NoError(t, err)
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-served, context.Canceled)
		require.NoError(t, host.Close())
		settleBubble()
	})
}

func TestServeEndsWithContextBeforeWelcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end, workerEnd := pipeEnds()
		defer end.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, New(Options{}).Serve(ctx, workerEnd.PipeReader, workerEnd.PipeWriter), context.DeadlineExceeded)
	})
}

func TestServeWithoutHost(t *testing.T) {
	require.NoError(t, New(Options{}).Serve(t.Context(), strings.NewReader(""), io.Discard))

	err := New(Options{}).Serve(t.Context(), strings.NewReader("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), io.Discard)
	require.ErrorContains(t, err, "the connection to the host broke")
	require.ErrorContains(t, err, "GET /")
}

// A worker whose output is broken ends, although its input has not.
func TestP35_BrokenOutputEndsServe(t *testing.T) {
	eachInFlight(t, func(t *testing.T, inFlight int) {
		w := New(Options{InFlight: inFlight})
		Handle(w, "echo", echo)
		end, workerEnd := pipeEnds()
		out := &breakable{Writer: workerEnd}
		served := make(chan error, 1)
		go func() { served <- w.Serve(t.Context(), workerEnd.PipeReader, out) }() // ends when the output is broken
		host, err := rpc.Connect(t.Context(), end, rpc.HostOptions{})
		require.NoError(t, err)
		out.broken.Store(true)
		go func() { _ = host.Call(t.Context(), "echo", 2, nil, rpc.CallOptions{}) }() // ends with the host
		err = <-served
		require.ErrorIs(t, err, syscall.EPIPE)
		require.ErrorContains(t, err, "the connection to the host broke")
		require.NoError(t, workerEnd.Close())
		require.NoError(t, host.Close())
		settleBubble()
	})
}

// breakable is a writer that can break.
type breakable struct {
	io.Writer
	broken atomic.Bool
}

func (b *breakable) Write(p []byte) (int, error) {
	if b.broken.Load() {
		return 0, syscall.EPIPE
	}
	return b.Writer.Write(p)
}

func TestShutdownDrains(t *testing.T) {
	eachInFlight(t, func(t *testing.T, inFlight int) {
		w := New(Options{InFlight: inFlight})
		Handle(w, "work", func(ctx context.Context, _ struct{}) (string, error) {
			time.Sleep(time.Minute)
			return "done", ctx.Err()
		})
		goodbye := make(chan string, 1)
		s := newSession(t, w, rpc.HostOptions{Goodbye: func(reason string) { goodbye <- reason }})
		var answer string
		answered := make(chan error, 1)
		go func() { answered <- s.call(t, "work", nil, &answer) }() // ends with the handler
		time.Sleep(time.Second)
		require.NoError(t, s.host.Shutdown(false, time.Hour))
		synctest.Wait()
		var refused *Error
		if inFlight > 1 {
			require.ErrorAs(t, s.call(t, "work", nil, nil), &refused)
			require.Equal(t, "shutting_down", refused.Code)
			require.True(t, refused.NotRun)
		}
		require.NoError(t, <-answered)
		require.Equal(t, "done", answer)
		require.Equal(t, "shutdown", <-goodbye)
		select {
		case err := <-s.served:
			require.Fail(t, "the worker ended before its input", "%v", err)
		case <-time.After(time.Hour):
		}
		s.hangUp(t)
		require.NoError(t, <-s.served)
	})
}

func TestShutdownNowCancels(t *testing.T) {
	eachInFlight(t, func(t *testing.T, inFlight int) {
		w := New(Options{InFlight: inFlight})
		Handle(w, "wait", untilDone)
		goodbye := make(chan string, 1)
		s := newSession(t, w, rpc.HostOptions{Goodbye: func(reason string) { goodbye <- reason }})
		answered := make(chan error, 1)
		go func() { answered <- s.call(t, "wait", nil, nil) }() // ends with the handler
		time.Sleep(time.Second)
		require.NoError(t, s.host.Shutdown(true, time.Hour))
		var remote *Error
		require.ErrorAs(t, <-answered, &remote)
		require.Equal(t, rpc.CodeShuttingDown, remote.Code)
		require.Equal(t, "shutdown", <-goodbye)
		s.hangUp(t)
		require.NoError(t, <-s.served)
	})
}
