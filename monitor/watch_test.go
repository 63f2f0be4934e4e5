package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// textLog returns a log and what has been written to it.
func textLog() (*slog.Logger, func() string) {
	var b lockedBuffer
	return slog.New(slog.NewTextHandler(&b, nil)), b.String
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// keepLines returns a handler and the lines that it has received, once the watch is over.
func keepLines() (func(context.Context, *Watcher, Line) error, *[]Line) {
	var lines []Line
	return func(_ context.Context, _ *Watcher, l Line) error {
		lines = append(lines, l)
		return nil
	}, &lines
}

func TestL1_14_LinesAreCutAndTheLastOneCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, lines := keepLines()
		w := watchFunc(t, WatchOptions{Line: handler, MaxLine: 5}, prints("short\nmuch too long\n\n\xffx\r\nlast", nil))
		_, err := w.Wait()
		require.NoError(t, err)
		require.Equal(t, []Line{{Stdout, "short"}, {Stdout, "much  … (cut)"}, {Stdout, ""}, {Stdout, "\uFFFDx"}, {Stdout, "last"}}, *lines)
	})
}

func TestL1_14_AnyLengthHurtsNobody(t *testing.T) {
	handler, lines := keepLines()
	o := WatchOptions{Line: handler, MaxOutput: 10}
	o.Start = func(_ process.Command, mo process.ManagedOptions) (*process.Managed, error) {
		return process.ManageFunc(prints(strings.Repeat("x", 1<<20)+"\nend\n", nil), mo), nil
	}
	r, err := Watch(t.Context(), process.Command{Path: "f"}, o)
	require.NoError(t, err)
	require.Len(t, *lines, 2)
	require.Less(t, len((*lines)[0].Text), 9<<10)
	require.Equal(t, "end", (*lines)[1].Text)
	require.Equal(t, "xxxxxxxxxx", string(r.Output))
	require.EqualValues(t, 1<<20-10+5, r.Dropped)
}

func TestL1_14_StandardErrorGoesToLogTailAndError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, lines := keepLines()
		log, text := textLog()
		w := watchFunc(t, WatchOptions{Options: process.Options{Log: log}, Line: handler, Stderr: true, AllLines: true}, func(m *process.Memory) int {
			fmt.Fprint(m.Stderr, "out of ink\nout of paper")
			return 4
		})
		r, err := w.Wait()
		require.EqualError(t, err, `watch "f": exited with code 4 after 0s; stderr: out of ink | out of paper`)
		require.Equal(t, "out of ink\nout of paper", r.Report.StderrTail)
		require.Contains(t, text(), "out of paper")
		require.Equal(t, []Line{{Stderr, "out of ink"}, {Stderr, "out of paper"}}, *lines)
	})
}

// A program that writes faster than its lines are handled is held up, and nothing is lost, also of what was in the pipe at its end.
func TestL1_14_QueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 300 // more than fits into the pipe
		line := strings.Repeat("x", 1<<10)
		var handled, written atomic.Int32
		o := WatchOptions{MaxQueue: 10, Line: func(context.Context, *Watcher, Line) error {
			handled.Add(1)
			time.Sleep(time.Second)
			return nil
		}}
		w := watchFunc(t, o, func(m *process.Memory) int {
			for range count {
				fmt.Fprintln(m.Stdout, line)
				written.Add(1)
			}
			return 0
		})
		require.Less(t, int(written.Load()), count, "it is held up")
		w.mu.Lock()
		require.Len(t, w.docket.waiting, 10)
		w.mu.Unlock()
		<-w.p.Exited()
		require.Less(t, handled.Load(), written.Load())
		_, err := w.Wait()
		require.NoError(t, err)
		require.EqualValues(t, count, handled.Load())
	})
}

// A process that is being ended for a failure is not held up by its output any more, so that it can heed the signal.
func TestL1_8_DoomedProcessIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchFunc(t, WatchOptions{MaxQueue: 1, Line: waits(time.Second, errors.New("bad"))}, func(m *process.Memory) int {
			m.Signals()
			fmt.Fprint(m.Stdout, strings.Repeat("line\n", 1<<15))
			<-m.Signals()
			return 0
		})
		r, err := w.Wait()
		require.ErrorContains(t, err, "bad")
		require.Equal(t, time.Second, r.Report.Uptime)
	})
}

func TestL1_7_NotificationsThatAreNoLinesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchFunc(t, WatchOptions{}, after(time.Second, 0))
		slow := func(context.Context) error { time.Sleep(time.Millisecond); return nil }
		for range 1 + maxNotes {
			require.NoError(t, w.Notify(slow))
		}
		require.ErrorIs(t, w.Notify(slow), ErrQueueFull)
		_, err := w.Wait()
		require.NoError(t, err)
	})
}

// closeCounter is a source that counts how often it has been closed.
type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error {
	c.closed++
	return nil
}

func TestWatchStdin(t *testing.T) {
	echo := func(m *process.Memory) int {
		io.Copy(m.Stdout, m.Stdin)
		return 0
	}
	synctest.Test(t, func(t *testing.T) {
		r, err := watchFunc(t, WatchOptions{MaxOutput: 100}, echo).Wait()
		require.NoError(t, err, "standard input is empty")
		require.Empty(t, r.Output)

		r, err = watchFunc(t, WatchOptions{MaxOutput: 100, Stdin: strings.NewReader("hello")}, echo).Wait()
		require.NoError(t, err)
		require.Equal(t, "hello", string(r.Output))

		ended := &closeCounter{Reader: strings.NewReader("hello")}
		_, err = watchFunc(t, WatchOptions{Stdin: ended}, echo).Wait()
		require.NoError(t, err)
		synctest.Wait()
		require.Zero(t, ended.closed, "a source that has ended is left alone")

		in, out := io.Pipe()
		_, err = watchFunc(t, WatchOptions{Stdin: in}, after(time.Second, 0)).Wait()
		require.NoError(t, err)
		synctest.Wait()
		_, err = out.Write([]byte("too late"))
		require.ErrorIs(t, err, io.ErrClosedPipe, "the source is told to stop")
	})
}

func TestP29_WatchedProgramsAreGuarded(t *testing.T) {
	for _, unguarded := range []bool{false, true} {
		o := WatchOptions{Unguarded: unguarded}
		o.Start = func(_ process.Command, mo process.ManagedOptions) (*process.Managed, error) {
			require.Equal(t, !unguarded, mo.Guard)
			return process.ManageFunc(prints("", nil), mo), nil
		}
		_, err := Watch(t.Context(), process.Command{Path: "f"}, o)
		require.NoError(t, err)
	}
}

func TestWatchOptionsAreChecked(t *testing.T) {
	_, err := Watch(t.Context(), process.Command{Path: "f"}, WatchOptions{
		MaxLine: -1, MaxQueue: -1, NotificationTimeout: -1, Inactivity: -1, Signal: -1, MaxOutput: -1,
	})
	for _, field := range []string{`watch "f"`, "MaxLine", "MaxQueue", "NotificationTimeout", "Inactivity", "Signal", "MaxOutput"} {
		require.ErrorContains(t, err, field)
	}
	_, err = Watch(t.Context(), process.Command{Path: "f"}, WatchOptions{Active: func(Line) bool { return true }})
	require.ErrorContains(t, err, "Active")
}

func TestWatchStartFails(t *testing.T) {
	o := WatchOptions{Start: func(process.Command, process.ManagedOptions) (*process.Managed, error) {
		return nil, &process.StartError{Path: "nosuch", Err: fs.ErrNotExist}
	}}
	_, err := Watch(t.Context(), process.Command{Path: "nosuch"}, o)
	var start *process.StartError
	require.ErrorAs(t, err, &start)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
