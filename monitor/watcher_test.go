package monitor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// watchFunc watches f as if it were a program. It is for synctest bubbles.
func watchFunc(t *testing.T, o WatchOptions, f process.Func) *Watcher {
	t.Helper()
	o.Start = func(_ process.Command, mo process.ManagedOptions) (*process.Managed, error) {
		return process.ManageFunc(f, mo), nil
	}
	w, err := StartWatch(t.Context(), process.Command{Path: "f"}, o)
	require.NoError(t, err)
	synctest.Wait()
	return w
}

// deaf ignores everything but KILL.
func deaf(m *process.Memory) int {
	m.Signals()
	<-m.Killed
	return 0
}

// obedient exits with code 0 when it is asked to.
func obedient(m *process.Memory) int {
	<-m.Signals()
	return 0
}

// prints writes text and then goes on as f; with a nil f it exits with code 0.
func prints(text string, f process.Func) process.Func {
	return func(m *process.Memory) int {
		fmt.Fprint(m.Stdout, text)
		if f == nil {
			return 0
		}
		return f(m)
	}
}

// after lives for d and exits with code.
func after(d time.Duration, code int) process.Func {
	return func(m *process.Memory) int {
		select {
		case <-time.After(d):
		case <-m.Killed:
		}
		return code
	}
}

// waits returns a handler that takes d and then returns err.
func waits(d time.Duration, err error) func(context.Context, *Watcher, Line) error {
	return func(context.Context, *Watcher, Line) error {
		time.Sleep(d)
		return err
	}
}

// note is a list of what happened and when, that several goroutines write.
type note struct {
	mu    sync.Mutex
	begun time.Time
	lines []string
}

func newNote() *note { return &note{begun: time.Now()} }

func (n *note) add(what any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf("%v %v", time.Since(n.begun), what))
}

func TestL1_1_L1_10_WatchKillsInTwoStages(t *testing.T) {
	for _, c := range []struct {
		name string
		o    WatchOptions
		want []string
	}{
		{"default", WatchOptions{}, []string{"3s INT", "8s KILL"}},
		{"chosen", WatchOptions{Signal: process.TERM, Grace: time.Second}, []string{"3s TERM", "4s KILL"}},
		{"at once", WatchOptions{Grace: -1}, []string{"3s INT", "3s KILL"}},
		{"inactive", WatchOptions{Inactivity: 2 * time.Second}, []string{"2s INT", "7s KILL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNote()
				w := watchFunc(t, c.o, func(m *process.Memory) int {
					n.add(<-m.Signals())
					<-m.Killed
					n.add(process.KILL)
					return 0
				})
				time.Sleep(3 * time.Second)
				require.NoError(t, w.Terminate())
				r, err := w.Wait()
				require.Error(t, err)
				require.Equal(t, process.KILL, r.Report.Signal)
				synctest.Wait()
				require.Equal(t, c.want, n.lines)
			})
		})
	}
}

func TestL1_1_WatchDoesNotKillBeforeTheGraceIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchFunc(t, WatchOptions{}, deaf)
		require.NoError(t, w.Terminate())
		time.Sleep(defaultKillTime - time.Nanosecond)
		synctest.Wait()
		require.False(t, closed(w.p.Exited()))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.True(t, closed(w.Done()))
	})
}

func TestL1_2_WatchedProcessHasExitedBeforeTheSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchFunc(t, WatchOptions{Line: waits(time.Minute/2, nil)}, prints("a\n", nil))
		require.True(t, closed(w.p.Ended()))
		require.NoError(t, w.Terminate())
		require.NoError(t, w.end(process.KillerAsked), "the exit was not known yet")
		require.Nil(t, w.kill, "no timer")
		r, err := w.Wait()
		require.NoError(t, err)
		require.Empty(t, r.Report.Killer)
	})
}

func TestL1_3_TerminateTwiceArmsOneTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNote()
		w := watchFunc(t, WatchOptions{}, func(m *process.Memory) int {
			for {
				select {
				case s := <-m.Signals():
					n.add(s)
				case <-m.Killed:
					n.add("dead")
					return 0
				}
			}
		})
		require.NoError(t, w.Terminate())
		timer := w.kill
		time.Sleep(3 * time.Second)
		require.NoError(t, w.Terminate())
		require.Same(t, timer, w.kill)
		w.Wait()
		synctest.Wait()
		require.Equal(t, []string{"0s INT", "5s dead"}, n.lines)
	})
}

func TestL1_3_ExitCancelsTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchFunc(t, WatchOptions{}, func(m *process.Memory) int {
			<-m.Signals()
			return after(time.Second, 0)(m)
		})
		require.NoError(t, w.Terminate())
		_, err := w.Wait()
		require.NoError(t, err)
		require.NotNil(t, w.kill)
		require.False(t, w.kill.Stop(), "it was stopped")
	})
}

// The process may be gone, and known to be, before the one who sent the signal goes on.
func TestL1_3_NoTimerAfterTheExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchFunc(t, WatchOptions{}, after(time.Second, 0))
		w.mu.Lock()
		w.docket.exit(true)
		w.mu.Unlock()
		require.NoError(t, w.end(process.KillerAsked))
		require.Nil(t, w.kill)
		w.Wait()
	})
}

func TestL1_4_DoneComesAfterTheEndAndTheNotifications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := watchFunc(t, WatchOptions{Line: waits(10*time.Second, nil)}, prints("a\nb\n", after(5*time.Second, 0)))
		<-w.p.Ended()
		synctest.Wait()
		require.False(t, closed(w.Done()))
		_, err := w.Wait()
		require.NoError(t, err)
		require.Equal(t, 20*time.Second, time.Since(begun))
		_, again := w.Wait()
		require.NoError(t, again)
	})
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := watchFunc(t, WatchOptions{Line: waits(time.Second, nil)}, prints("a\nb\n", after(5*time.Second, 0)))
		w.Wait()
		require.Equal(t, 5*time.Second, time.Since(begun))
		require.True(t, closed(w.p.Ended()))
	})
}

func TestL1_5_OnlyCode0IsSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := watchFunc(t, WatchOptions{}, after(time.Second, 0)).Wait()
		require.NoError(t, err)

		r, err := watchFunc(t, WatchOptions{}, after(time.Second, 3)).Wait()
		var exit *ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, r.Report, exit.Report)
		require.EqualError(t, err, `watch "f": exited with code 3 after 1s`)

		w := watchFunc(t, WatchOptions{}, deaf)
		require.NoError(t, w.p.Signal(process.KILL))
		_, err = w.Wait()
		require.EqualError(t, err, `watch "f": killed by signal 9 (KILL) after 0s`)
	})
}

// L1.6, each row. The line is handled for a second, then the handler fails.
func TestL1_6_FirstFailureWins(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	for _, c := range []struct {
		name    string
		program process.Func
		o       WatchOptions
		want    error // nil: an ExitError
		signal  process.Signal
		log     string
	}{
		{
			name:    "an error, then death by our signal",
			program: prints("a\n", func(m *process.Memory) int { <-m.Killed; return 0 }),
			o:       WatchOptions{Line: waits(time.Second, first)},
			want:    first, signal: process.INT,
		},
		{
			name:    "an error, then a clean exit",
			program: prints("a\n", obedient),
			o:       WatchOptions{Line: waits(time.Second, first)},
			want:    first,
		},
		{
			name: "two errors",
			program: prints("a\n", func(m *process.Memory) int {
				<-m.Signals()
				select {
				case <-m.Signals():
					panic("a second signal")
				case <-m.Killed:
				}
				return 0
			}),
			o:    WatchOptions{Line: waits(time.Second, second), Inactivity: time.Second / 2},
			want: ErrInactive, signal: process.KILL, log: "second",
		},
		{
			name:    "an unclean exit, then the running notification fails",
			program: prints("a\n", after(time.Second/2, 3)),
			o:       WatchOptions{Line: waits(time.Second, second)},
			log:     "second",
		},
		{
			name:    "a clean exit, then the running notification fails",
			program: prints("a\n", after(time.Second/2, 0)),
			o:       WatchOptions{Line: waits(time.Second, second)},
			want:    second,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, text := textLog()
				c.o.Log = log
				r, err := watchFunc(t, c.o, c.program).Wait()
				if c.want == nil {
					var exit *ExitError
					require.ErrorAs(t, err, &exit)
				} else {
					require.ErrorIs(t, err, c.want)
				}
				require.Equal(t, c.signal, r.Report.Signal)
				synctest.Wait()
				if c.log == "" {
					require.NotContains(t, text(), "failure after the first")
				} else {
					require.Contains(t, text(), c.log)
				}
			})
		})
	}
}

// The handler knows of the exit before the Watcher has been told.
func TestL1_6_AnExitThatHasHappenedIsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := watchFunc(t, WatchOptions{Line: func(_ context.Context, w *Watcher, _ Line) error {
			<-w.p.Exited()
			return errors.New("late")
		}}, prints("a\n", after(time.Second, 3))).Wait()
		var exit *ExitError
		require.ErrorAs(t, err, &exit)
	})
}

func TestL1_7_NotificationsAreSerial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNote()
		w := watchFunc(t, WatchOptions{Line: func(_ context.Context, w *Watcher, l Line) error {
			n.add("begin " + l.Text)
			time.Sleep(time.Second)
			require.NoError(t, w.Notify(func(context.Context) error { n.add("from inside " + l.Text); return nil }))
			n.add("end " + l.Text)
			return nil
		}}, prints("a\nb\n", after(5*time.Second, 0)))
		_, err := w.Wait()
		require.NoError(t, err)
		require.Equal(t, []string{
			"0s begin a", "1s end a", "1s begin b", "2s end b", "2s from inside a", "2s from inside b",
		}, n.lines)
	})
}

func TestL1_8_AFailingNotificationIsFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, bad := newNote(), errors.New("bad line")
		w := watchFunc(t, WatchOptions{Line: func(_ context.Context, _ *Watcher, l Line) error {
			n.add(l.Text)
			time.Sleep(time.Second)
			return bad
		}}, prints("a\nb\nc\n", deaf))
		time.Sleep(time.Second)
		synctest.Wait()
		require.ErrorIs(t, w.Notify(func(context.Context) error { return nil }), bad)
		r, err := w.Wait()
		require.ErrorIs(t, err, bad)
		require.NotErrorIs(t, err, ErrTerminated)
		require.EqualError(t, err, `watch "f": notification: bad line`)
		require.Equal(t, killerNotification, r.Report.Killer)
		require.Equal(t, 6*time.Second, time.Since(n.begun))
		require.Equal(t, []string{"0s a"}, n.lines, "the others are skipped")
	})
}

func TestL1_8_AfterTheExit(t *testing.T) {
	all, one := []string{"0s a", "1s b", "2s c", "3s d"}, []string{"0s a"}
	for _, c := range []struct {
		code int
		all  bool
		want []string
	}{{0, false, all}, {1, false, one}, {1, true, all}} {
		synctest.Test(t, func(t *testing.T) {
			n := newNote()
			w := watchFunc(t, WatchOptions{AllLines: c.all, Line: func(_ context.Context, _ *Watcher, l Line) error {
				n.add(l.Text)
				time.Sleep(time.Second)
				return nil
			}}, prints("a\nb\nc\nd", after(time.Second/2, c.code)))
			_, err := w.Wait()
			require.Equal(t, c.code == 0, err == nil)
			require.Equal(t, c.want, n.lines)
			require.Equal(t, time.Duration(len(c.want))*time.Second, time.Since(n.begun))
			require.ErrorIs(t, w.Notify(nil), ErrOver)
		})
	}
}

// The last line of a failing program is handled, if those before it have been.
func TestL1_8_LastWordsOfAFailingProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, lines := keepLines()
		_, err := watchFunc(t, WatchOptions{Line: handler}, prints("disk full\n", after(0, 1))).Wait()
		require.Error(t, err)
		require.Equal(t, []Line{{Stdout, "disk full"}}, *lines)
	})
}

func TestL1_12_ReportsCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNote()
		w := watchFunc(t, WatchOptions{}, after(5*time.Second, 0))
		for i := range 10 {
			for _, key := range []string{"x", "y"} {
				require.NoError(t, w.NotifyLatest(key, func(context.Context) error {
					n.add(fmt.Sprint(key, i))
					time.Sleep(time.Second)
					return nil
				}))
			}
			time.Sleep(time.Second / 10)
		}
		_, err := w.Wait()
		require.NoError(t, err)
		require.Equal(t, []string{"0s x0", "1s y9", "2s x9"}, n.lines)
	})
}

func TestL1_13_TerminationAndCrashAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mortal := func(m *process.Memory) int { <-m.Killed; return 0 }
		w := watchFunc(t, WatchOptions{}, mortal)
		time.Sleep(time.Second)
		require.NoError(t, w.Terminate())
		_, err := w.Wait()
		require.ErrorIs(t, err, ErrTerminated)
		require.EqualError(t, err, `watch "f": stopped by us (asked): killed by signal 2 (INT) after 1s`)

		w = watchFunc(t, WatchOptions{}, mortal)
		require.NoError(t, w.p.Signal(process.INT)) // as somebody else may
		_, err = w.Wait()
		require.NotErrorIs(t, err, ErrTerminated)

		w = watchFunc(t, WatchOptions{}, obedient)
		require.NoError(t, w.Terminate())
		r, err := w.Wait()
		require.NoError(t, err, "it has done what it was asked for")
		require.Equal(t, process.KillerAsked, r.Report.Killer)
	})
}

func TestL1_13_ContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		o := WatchOptions{Start: func(_ process.Command, mo process.ManagedOptions) (*process.Managed, error) {
			return process.ManageFunc(obedient, mo), nil
		}}
		gone := errors.New("the visitor has left")
		time.AfterFunc(time.Second, func() { cancel(gone) })
		r, err := Watch(ctx, process.Command{Path: "f"}, o)
		require.ErrorIs(t, err, gone)
		require.ErrorIs(t, err, ErrTerminated)
		require.EqualError(t, err, `watch "f": terminated on request: the visitor has left`)
		require.Equal(t, process.KillerCancel, r.Report.Killer)

		o.Start = nil
		_, err = Watch(ctx, process.Command{Path: "f"}, o)
		require.EqualError(t, err, `watch "f": not started: the visitor has left`)
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o := WatchOptions{Line: waits(time.Second, nil)}
		o.Start = func(_ process.Command, mo process.ManagedOptions) (*process.Managed, error) {
			return process.ManageFunc(prints("a\nb\nc\n", nil), mo), nil
		}
		time.AfterFunc(time.Second/2, cancel)
		begun := time.Now()
		_, err := Watch(ctx, process.Command{Path: "f"}, o)
		require.EqualError(t, err, `watch "f": context canceled`, "the process was not ended")
		require.NotErrorIs(t, err, ErrTerminated)
		require.Equal(t, time.Second, time.Since(begun), "b and c are skipped")
	})
}

func TestL1_4_NothingHappensAfterDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, text := textLog()
		w := watchFunc(t, WatchOptions{Options: process.Options{Log: log}}, after(time.Second, 0))
		_, err := w.Wait()
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.ctx = ctx
		w.canceled() // as if the context had ended in that moment
		w.Reset()
		require.NoError(t, w.Terminate())
		require.ErrorIs(t, w.Notify(nil), ErrOver)
		require.Empty(t, text())
		_, err = w.Wait()
		require.NoError(t, err)
	})
}

func TestHandlerThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchFunc(t, WatchOptions{Line: func(context.Context, *Watcher, Line) error {
			runtime.Goexit()
			return nil
		}}, prints("a\n", obedient))
		_, err := w.Wait()
		require.EqualError(t, err, `watch "f": notification: it ended its goroutine`)
	})
}
