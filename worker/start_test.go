package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

func TestStartLoadsBeforeTheFirstCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loaded := 0
		w := New(Options{Start: func(context.Context) error {
			time.Sleep(10*time.Second + time.Millisecond)
			loaded = 42
			return nil
		}})
		Handle(w, "loaded", func(context.Context, struct{}) (int, error) { return loaded, nil })
		starting := 0
		s := newSession(t, w, rpc.HostOptions{Starting: func(message string) {
			require.NotEmpty(t, message)
			starting++
		}})
		require.Equal(t, 10, starting, "once a second")
		var got int
		require.NoError(t, s.call(t, "loaded", nil, &got))
		require.Equal(t, 42, got)
	})
}

func TestStartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no license")
		s, err := trySession(t, New(Options{Start: func(context.Context) error { return broken }}), rpc.HostOptions{})
		var initErr *rpc.InitError
		require.ErrorAs(t, err, &initErr)
		require.Equal(t, rpc.InitError{Message: "no license"}, *initErr)
		served := <-s.served
		require.ErrorIs(t, served, broken)
		require.ErrorContains(t, served, "the worker cannot start: no license")
	})
}

func TestStartPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := trySession(t, New(Options{Start: func(context.Context) error { panic("no license") }}), rpc.HostOptions{})
		var initErr *rpc.InitError
		require.ErrorAs(t, err, &initErr)
		require.Equal(t, "Start panicked: no license", initErr.Message)
		require.Contains(t, initErr.Detail, "TestStartPanics")
		require.Error(t, <-s.served)
	})
}

// Whatever wants the worker to end while it loads ends Start, and Serve with it.
func TestStartIsEnded(t *testing.T) {
	tests := map[string]struct {
		end  func(t *testing.T, end pipeEnd, cancel context.CancelFunc)
		want error
	}{
		"end of input": {end: func(t *testing.T, end pipeEnd, _ context.CancelFunc) { require.NoError(t, end.CloseWrite()) }},
		"context":      {end: func(_ *testing.T, _ pipeEnd, cancel context.CancelFunc) { cancel() }, want: context.Canceled},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := false
				w := New(Options{Start: func(ctx context.Context) error {
					<-ctx.Done()
					time.Sleep(time.Second / 2)
					ended = true
					return ctx.Err()
				}})
				end, workerEnd := pipeEnds()
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() { served <- w.Serve(ctx, workerEnd.PipeReader, workerEnd.PipeWriter) }() // ends as the test wants
				connected := make(chan error, 1)
				go func() { // ends with the connection
					_, err := rpc.Connect(t.Context(), end, rpc.HostOptions{})
					connected <- err
				}()
				time.Sleep(time.Minute)
				test.end(t, end, cancel)
				require.ErrorIs(t, <-served, test.want)
				require.True(t, ended)
				require.Error(t, <-connected)
				cancel()
				require.NoError(t, end.Close())
				settleBubble()
			})
		})
	}
}

// Mistakes do not panic: host and caller are told all of them.
func TestMistakesAreInitErrors(t *testing.T) {
	tests := map[string]struct {
		options Options
		handle  func(w *Worker)
		want    []string
	}{
		"no name":   {handle: func(w *Worker) { Handle(w, "", echo) }, want: []string{"a handler has no name"}},
		"long name": {handle: func(w *Worker) { Handle(w, strings.Repeat("x", 256), echo) }, want: []string{"xxx", "256 bytes"}},
		"nil":       {handle: func(w *Worker) { Handle[int, int](w, "none", nil) }, want: []string{`handler of "none" is nil`}},
		"twice":     {handle: func(w *Worker) { Handle(w, "one", echo); Handle(w, "one", untilDone) }, want: []string{`"one" has two handlers`}},
		"in flight": {options: Options{InFlight: 1 << 20}, want: []string{"InFlight: 1048576"}},
		"small":     {options: Options{MaxMessage: 10}, want: []string{"MaxMessage: 10"}},
		"negative":  {options: Options{MaxMessage: -1}, want: []string{"MaxMessage: -1"}},
		"all at once": {
			options: Options{MaxMessage: 10},
			handle:  func(w *Worker) { Handle(w, "", echo); Handle[int, int](w, "none", nil) },
			want:    []string{"MaxMessage", "has no name", "is nil"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(test.options)
				if test.handle != nil {
					test.handle(w)
				}
				s, err := trySession(t, w, rpc.HostOptions{})
				var initErr *rpc.InitError
				require.ErrorAs(t, err, &initErr)
				served := <-s.served
				for _, want := range test.want {
					require.Contains(t, initErr.Message, want)
					require.ErrorContains(t, served, want)
				}
				require.NotContains(t, initErr.Message, "\n")
			})
		})
	}
}

func TestSmallMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(Options{MaxMessage: minMessage})
		Handle(w, "echo", echo)
		s := newSession(t, w, rpc.HostOptions{})
		require.NoError(t, s.call(t, "echo", make([]byte, minMessage/2), nil))
		require.ErrorIs(t, s.call(t, "echo", make([]byte, minMessage), nil), rpc.ErrTooLarge)
	})
}
