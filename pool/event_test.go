package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// listener writes down the events of a pool until its end.
type listener struct {
	mu   sync.Mutex
	got  []Event
	done chan struct{}
}

func (c *crew) listen() *listener {
	l := &listener{done: make(chan struct{})}
	events := c.Events(context.Background())
	go func() { // ends with the pool
		defer close(l.done)
		for e := range events {
			l.mu.Lock()
			l.got = append(l.got, e)
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *listener) all() []Event {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// told checks what has been told since the last time, as words; see word.
func (l *listener) told(t *testing.T, want string) {
	t.Helper()
	var words []string
	for _, e := range l.all() {
		words = append(words, word(e))
	}
	require.Equal(t, want, strings.Join(words, " "))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = nil
}

// word is an event in short: its kind, with the reason; an exclamation mark is a death.
func word(e Event) string {
	text := string(e.Kind)
	switch {
	case e.Reason != "":
		text += "(" + strings.ReplaceAll(string(e.Reason), " ", "_") + ")"
	case e.Kind == EventPoolResized:
		text += fmt.Sprintf("(%d-%d)", e.Min, e.Max)
	case e.Kind == EventBackoff:
		text += fmt.Sprintf("(%d:%v)", e.Attempt, e.Delay)
	}
	if e.Death {
		text += "!"
	}
	return text
}

// TestEvents_Lives: what is told of a worker's life, whatever it is.
func TestEvents_Lives(t *testing.T) {
	three := 3
	call := func(t *testing.T, c *crew) { require.NoError(t, c.echo(t.Context(), "")) }
	fails := func(t *testing.T, c *crew) { require.Error(t, c.echo(t.Context(), "")); time.Sleep(time.Millisecond) }
	after := func(d time.Duration, then func(t *testing.T, c *crew)) func(t *testing.T, c *crew) {
		return func(t *testing.T, c *crew) { call(t, c); time.Sleep(d); then(t, c) }
	}
	lives := []struct {
		name    string
		program program
		o       Options
		life    func(t *testing.T, c *crew)
		want    string
	}{
		{"idle", program{}, Options{}, after(time.Hour, call), "started ready retiring(idle) stopping(idle) exited(idle) started ready"},
		{"crash of a healthy one", program{}, Options{}, after(0, func(t *testing.T, c *crew) { c.crash(0); synctest.Wait(); call(t, c) }),
			"started ready exited! started ready"},
		{"crash of one of no use", leavingAs(func(v *visit) { v.quit(1) }), Options{}, func(t *testing.T, c *crew) { fails(t, c); fails(t, c) },
			"started ready exited! backoff(1:1s) started ready exited! backoff(2:2s)"},
		{"violation", leavingAs(func(v *visit) { v.print("hi!\n") }), Options{}, fails,
			"started ready stopping(protocol_violation) exited(protocol_violation)! backoff(1:1s)"},
		{"goodbye", leavingAs(func(v *visit) { v.say(jsonLine{Goodbye: "no"}); v.sleep(time.Second); v.quit(0) }), Options{}, fails,
			"started ready retiring(said_goodbye) exited! backoff(1:1s)"},
		{"goodbye and waits", leavingAs(func(v *visit) { v.say(jsonLine{Goodbye: "no"}) }), Options{}, fails,
			"started ready retiring(said_goodbye) stopping(said_goodbye) exited(said_goodbye)! backoff(1:1s)"},
		{"crash loop", program{exits: &three}, Options{}, func(t *testing.T, c *crew) { fails(t, c); time.Sleep(4 * time.Second); fails(t, c) },
			"started start_failed exited backoff(1:1s) started start_failed exited backoff(2:2s) started start_failed exited backoff(3:4s) crash_loop " +
				"probing started start_failed exited backoff(4:8s) crash_loop"},
		{"crash loop that ends", program{exits: &three}, Options{Restart: Restart{Min: time.Hour, Max: time.Hour}}, func(t *testing.T, c *crew) {
			fails(t, c)
			require.NoError(t, c.Stop(t.Context()))
		}, "started start_failed exited backoff(1:1h0m0s) started start_failed exited backoff(2:1h0m0s) started start_failed exited backoff(3:1h0m0s) crash_loop " +
			"pool_stopping pool_stopped recovered"},
		{"not ready in time", program{mute: true, deafToEOF: true}, Options{StartTimeout: time.Second, QueueTimeout: 1500 * time.Millisecond}, func(t *testing.T, c *crew) {
			fails(t, c)
			time.Sleep(3 * time.Second)
		}, "started start_failed stopping(start) backoff(1:1s) exited(start)"},
		{"no program", program{}, Options{Start: func(process.Command, process.Options) (*process.Process, error) {
			return nil, &process.StartError{Path: "worker", Err: os.ErrNotExist}
		}}, fails, "start_failed backoff(1:1s) crash_loop"},
		{"stop", program{}, Options{}, after(0, func(t *testing.T, c *crew) { require.NoError(t, c.Stop(t.Context())) }),
			"started ready pool_stopping stopping(asked) exited(asked) pool_stopped"},
		{"stop of one that is starting", program{loads: time.Second}, Options{}, func(t *testing.T, c *crew) {
			c.ask(t.Context(), "", CallOptions{})
			require.NoError(t, c.Stop(t.Context()))
		}, "started pool_stopping stopping(asked) exited(asked) pool_stopped"},
		{"stop of none", program{}, Options{}, func(t *testing.T, c *crew) { require.NoError(t, c.Stop(t.Context())) }, "pool_stopping pool_stopped"},
		{"reload", program{}, Options{}, after(0, func(t *testing.T, c *crew) {
			require.NoError(t, c.Reload(t.Context(), process.Command{}))
		}), "started ready started ready pool_reloaded retiring(reload) stopping(reload) exited(reload)"},
		{"resize", program{loads: time.Second}, Options{}, func(t *testing.T, c *crew) {
			require.NoError(t, c.Resize(t.Context(), 2, 2))
			require.NoError(t, c.Ready(t.Context()))
			require.NoError(t, c.Resize(t.Context(), 1, 1))
			synctest.Wait()
		}, "pool_resized(2-2) started started ready ready pool_resized(1-1) retiring(resize) stopping(resize) exited(resize)"},
		{"recycling", program{}, Options{MaxCalls: 1}, after(0, func(*testing.T, *crew) { synctest.Wait() }),
			"started ready started ready retiring(recycle) stopping(recycle) exited(recycle)"},
	}
	for _, life := range lives {
		t.Run(life.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCrew(t, life.o, life.program)
				l := c.listen()
				life.life(t, c)
				l.told(t, life.want)
			})
		})
	}
}

func TestEvent_String(t *testing.T) {
	exit := Exit{Calls: 2, Report: process.Report{PID: 812, Code: 3, Uptime: time.Minute}}
	for want, e := range map[string]Event{
		"crew/3 (pid 812) ready":                                          {Slot: 3, PID: 812, Kind: EventReady},
		"crew/3 (pid 812) stopping (idle)":                                {Slot: 3, PID: 812, Kind: EventStopping, Reason: process.KillerIdle},
		"crew/3 (pid 812) exited: exited with code 3 after 1m0s, 2 calls": {Slot: 3, PID: 812, Kind: EventExited, Exit: exit, Death: true},
		"crew/3 start_failed: no such program":                            {Slot: 3, Kind: EventStartFailed, Err: errors.New("no such program")},
		"crew crash_loop: 4s: no such program":                            {Slot: -1, Kind: EventCrashLoop, Delay: 4 * time.Second, Err: errors.New("no such program")},
		"crew pool_resized: 0 to 8":                                       {Slot: -1, Kind: EventPoolResized, Max: 8},
		"crew pool_closed; 7 events before it were dropped":               {Slot: -1, Kind: EventPoolClosed, Dropped: 7},
	} {
		e.Pool = "crew"
		require.Equal(t, want, e.String())
	}
}

// What has no process yet cannot be stopped: it is told of when there is one.
func TestEvents_StopWhileLaunching(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		launched := make(chan struct{})
		c := newCrew(t, Options{Start: func(_ process.Command, po process.Options) (*process.Process, error) {
			<-launched
			return process.StartFunc(program{}.run, po), nil
		}})
		l := c.listen()
		c.ask(t.Context(), "", CallOptions{})
		stop := c.async(func() error { return c.Stop(context.Background()) })
		l.told(t, "pool_stopping")
		close(launched)
		require.NoError(t, stop.result())
		l.told(t, "started stopping(asked) exited(asked) pool_stopped")
	})
}

// Two may find at the same time that a worker is to retire.
func TestEvents_RetiringIsToldOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		held := newGate()
		c := newCrew(t, Options{}, program{handle: held.handle})
		call := c.ask(t.Context(), "", CallOptions{})
		l := c.listen()
		w := c.slots[0].worker
		c.post(w, event{kind: evRetire, why: process.KillerCancel})
		c.post(w, event{kind: evRetire, why: process.KillerResize})
		held.open()
		require.NoError(t, call.result())
		l.told(t, "retiring(cancel) stopping(cancel) exited(cancel)")
	})
}

// A reload that fails says so, and teaches the back-off nothing.
func TestEvents_FailedReload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		one := 1
		c := newCrew(t, Options{}, program{}, program{exits: &one})
		c.serves()
		l := c.listen()
		err := c.Reload(t.Context(), process.Command{})
		require.ErrorContains(t, err, "exited with code 1")
		events := l.all()
		require.ErrorIs(t, err, events[2].Err)
		l.told(t, "started start_failed pool_not_reloaded exited")
	})
}

func TestEvents_Ends(t *testing.T) {
	t.Run("close", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{Max: 2})
			c.serves()
			l := c.listen()
			require.NoError(t, c.Close())
			l.told(t, "pool_closing stopping(shutdown) exited(shutdown) pool_closed")
			<-l.done
			require.NoError(t, c.Close())
			l.told(t, "")
		})
	})
	t.Run("close of an empty pool", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{})
			l := c.listen()
			require.NoError(t, c.Close())
			l.told(t, "pool_closing pool_closed")
		})
	})
	t.Run("shutdown", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{})
			held := c.acquire()
			l := c.listen()
			shutdown := c.async(func() error { return c.Shutdown(context.Background()) })
			l.told(t, "pool_draining")
			held.Release()
			require.NoError(t, shutdown.result())
			l.told(t, "pool_closing stopping(shutdown) exited(shutdown) pool_closed")
		})
	})
	t.Run("close that had to force", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			c := newCrew(t, Options{}, program{deafToShutdown: true, deafToEOF: true})
			c.serves()
			l := c.listen()
			err := c.Close()
			require.ErrorContains(t, err, "did not stop when asked")
			events := l.all()
			require.Equal(t, err, events[len(events)-1].Err)
		})
	})
	t.Run("close that gave up", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			let := make(chan struct{})
			c := newCrew(t, Options{ExitHook: func(Exit) { <-let }})
			c.serves()
			c.crash(0)
			synctest.Wait()
			l := c.listen()
			require.ErrorContains(t, c.Close(), "the exit hook has not returned")
			l.told(t, "pool_closing pool_closed")
			<-l.done
			close(let)
		})
	})
}

// TestEvents_Values: every field, as Go and as JSON.
func TestEvents_Values(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		code := 3
		c := newCrew(t, Options{}, program{handle: func(v *visit) (any, error) {
			fmt.Fprintln(v.Stderr, "out of ink")
			v.quit(7)
			<-v.over
			return nil, nil
		}}, program{exits: &code, stderr: "no paper\n"})
		l := c.listen()
		start := time.Now()
		require.Error(t, c.echo(t.Context(), ""))
		require.Error(t, c.echo(t.Context(), ""))
		require.NoError(t, c.Close())
		events := l.all()
		for i := range events {
			e := &events[i]
			require.EqualValues(t, i+1, e.Seq)
			require.Equal(t, "crew", e.Pool)
			require.False(t, e.Time.Before(start))
			require.Equal(t, time.UTC, e.Time.Location())
			if e.PID != 0 {
				e.PID = 812
			}
		}
		exited, failed := events[2], events[5]
		require.Equal(t, 7, exited.Exit.Report.Code)
		require.Equal(t, "out of ink\n", exited.Exit.Report.StderrTail)
		require.Equal(t, EventStartFailed, failed.Kind)
		var exit Exit
		require.True(t, errors.As(failed.Err, &exit))

		got, err := json.MarshalIndent(events, "", "  ")
		require.NoError(t, err)
		file := filepath.Join("testdata", "events.json")
		if *update {
			require.NoError(t, os.WriteFile(file, append(got, '\n'), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got), "if this is as it should be: go test ./pool -run TestEvents -update")
	})
}
