package monitor

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

func TestL1_9_ANotificationHasADeadline(t *testing.T) {
	for _, c := range []struct {
		name    string
		program process.Func
		handler func(ctx context.Context) // what it waits for
		took    time.Duration
	}{
		{"it never returns", prints("a\n", deaf), func(context.Context) { time.Sleep(24 * time.Hour) }, 65 * time.Second},
		{"it heeds its context", prints("a\n", deaf), func(ctx context.Context) { <-ctx.Done() }, 65 * time.Second},
		{"after a clean exit", prints("a\n", nil), func(context.Context) { time.Sleep(24 * time.Hour) }, 60 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				causes := make(chan error, 1)
				w := watchFunc(t, WatchOptions{Line: func(ctx context.Context, _ *Watcher, _ Line) error {
					c.handler(ctx)
					causes <- context.Cause(ctx)
					return ctx.Err()
				}}, c.program)
				_, err := w.Wait()
				require.ErrorIs(t, err, ErrNotificationTimeout)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.EqualError(t, err, `watch "f": notification did not return in time (1m0s)`)
				require.Equal(t, c.took, time.Since(begun))
				time.Sleep(48 * time.Hour)
				require.ErrorIs(t, <-causes, ErrNotificationTimeout)
			})
		})
	}
	t.Run("after an unclean exit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			w := watchFunc(t, WatchOptions{NotificationTimeout: time.Second, Line: waits(time.Hour, nil)}, prints("a\n", after(0, 3)))
			_, err := w.Wait()
			var exit *ExitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, time.Second, time.Since(begun))
			time.Sleep(time.Hour)
		})
	})
}

func TestL1_10_Inactivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := watchFunc(t, WatchOptions{Inactivity: 10 * time.Second, Line: waits(0, nil)}, func(m *process.Memory) int {
			for range 3 {
				time.Sleep(4 * time.Second)
				fmt.Fprintln(m.Stdout, "lines alone are no sign of life")
			}
			return deaf(m)
		})
		time.Sleep(8 * time.Second)
		w.Reset()
		time.Sleep(10*time.Second - time.Nanosecond)
		synctest.Wait()
		require.NoError(t, w.Notify(func(context.Context) error { return nil }), "no failure before the time")
		time.Sleep(time.Nanosecond)
		w.Reset() // too late
		synctest.Wait()
		require.ErrorIs(t, w.Notify(nil), ErrInactive)
		w.Reset()
		r, err := w.Wait()
		require.Equal(t, 23*time.Second, time.Since(begun), "18 s and the grace")
		require.EqualError(t, err, `watch "f": no sign of life in time (10s)`)
		var timeout interface{ Timeout() bool }
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
		require.Equal(t, killerInactive, r.Report.Killer)
	})
}

// Whether the timer has fired or not, the time is over.
func TestL1_10_AResetAtTheEndIsTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchFunc(t, WatchOptions{Inactivity: time.Second}, deaf)
		require.True(t, w.idle.Stop())
		time.Sleep(time.Second)
		w.Reset()
		w.idled()
		_, err := w.Wait()
		require.ErrorIs(t, err, ErrInactive)
	})
}

func TestL1_10_AHandlerResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := WatchOptions{Inactivity: 3 * time.Second, Line: func(_ context.Context, w *Watcher, l Line) error {
			if strings.HasPrefix(l.Text, "progress") {
				w.Reset()
			}
			return nil
		}}
		_, err := watchFunc(t, o, progressing).Wait()
		require.NoError(t, err)
	})
	synctest.Test(t, func(t *testing.T) {
		o := WatchOptions{Inactivity: 3 * time.Second, Active: func(l Line) bool { return strings.HasPrefix(l.Text, "progress") }}
		_, err := watchFunc(t, o, progressing).Wait()
		require.NoError(t, err, "also without a handler")
		o.Active = nil
		_, err = watchFunc(t, o, progressing).Wait()
		require.ErrorIs(t, err, ErrInactive)
	})
}

func progressing(m *process.Memory) int {
	for i := range 5 {
		select {
		case <-time.After(2 * time.Second):
		case <-m.Killed:
			return 1
		}
		fmt.Fprintf(m.Stdout, "progress %d\n", i)
	}
	return 0
}

// A program that has said its last and then hangs is found out as soon as its last progress is too long ago.
func TestL1_11_AFinalResultIsNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		o := WatchOptions{Inactivity: 3 * time.Second, Grace: -1, Active: func(l Line) bool { return strings.HasPrefix(l.Text, "progress") }}
		_, err := watchFunc(t, o, func(m *process.Memory) int {
			fmt.Fprintln(m.Stdout, "progress 100")
			time.Sleep(2 * time.Second)
			fmt.Fprintln(m.Stdout, "result 42")
			return deaf(m)
		}).Wait()
		require.ErrorIs(t, err, ErrInactive)
		require.Equal(t, 3*time.Second, time.Since(begun))
	})
}

func TestL1_10_TheEndCancelsInactivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchFunc(t, WatchOptions{Inactivity: 2 * time.Second, Line: waits(time.Minute/2, nil)}, prints("a\n", after(time.Second, 0)))
		<-w.p.Exited()
		synctest.Wait()
		require.False(t, w.idle.Stop(), "it was stopped")
		_, err := w.Wait()
		require.NoError(t, err)
	})
	synctest.Test(t, func(t *testing.T) {
		w := watchFunc(t, WatchOptions{Inactivity: 2 * time.Second}, deaf)
		require.NoError(t, w.Terminate())
		time.Sleep(2 * time.Second)
		w.idled() // as if its timer had been about to fire
		_, err := w.Wait()
		require.NotErrorIs(t, err, ErrInactive, "who was asked to end may be quiet")
		require.ErrorIs(t, err, ErrTerminated)
	})
}
