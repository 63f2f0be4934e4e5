package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

func TestP15_BootTheExitSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrewOf(t, Options{Restart: Restart{Min: time.Millisecond, Max: time.Millisecond}}, func(int) process.Func {
			return func(m *process.Memory) int {
				_ = m.Stdout.Close()
				time.Sleep(patience / 2)
				return 5
			}
		})
		require.ErrorContains(t, c.echo(t.Context(), ""), "exited with code 5", "which came a little after the end of its output")
	})
}

func TestBoot_UnableAndStillRunning(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrewOf(t, Options{}, func(int) process.Func {
			return func(m *process.Memory) int {
				fmt.Fprintln(m.Stdout, `{"unable":"no license"}`)
				<-m.Killed
				return 0
			}
		})
		start := time.Now()
		require.ErrorContains(t, c.echo(t.Context(), ""), "no license")
		require.Zero(t, time.Since(start))
		require.Equal(t, []State{StateStopping}, c.states())
	})
}

// TestP15_ExitHasTheLastOfStderr: the error waits a little for it.
func TestP15_ExitHasTheLastOfStderr(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Log: slowStderr()}, program{handle: func(v *visit) (any, error) {
			fmt.Fprintln(v.Stderr, "panic: out of ink")
			time.Sleep(time.Millisecond) // the line is being logged, which takes its time
			fmt.Fprintln(v.Stderr, "goroutine 1 [running]")
			v.quit(2)
			<-v.over
			return nil, nil
		}})
		require.ErrorContains(t, c.echo(t.Context(), ""), "stderr: panic: out of ink | goroutine 1 [running]")
	})
}

// rude is a dialect whose handshakes do not heed their context. It keeps what it gets and makes.
type rude struct {
	takes  time.Duration
	err    error
	stream Stream
	conn   *jsonConn
}

func (r *rude) Connect(_ context.Context, s Stream, o ConnOptions) (Conn, error) {
	r.stream = s
	if r.err != nil {
		return nil, r.err
	}
	conn, err := jsonLines{}.Connect(context.Background(), s, o)
	time.Sleep(r.takes)
	if err == nil {
		r.conn = conn.(*jsonConn)
	}
	return conn, err
}

func TestFailedHandshakeLeavesNoStreamOpen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := &rude{err: errors.New("I do not like it")}
		c := newCrew(t, Options{Dialect: d})
		require.ErrorContains(t, c.echo(t.Context(), ""), "I do not like it")
		synctest.Wait()
		_, err := d.stream.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrClosed)
	})
}

func TestLateHandshakeIsClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := &rude{takes: time.Hour}
		c := newCrew(t, Options{Dialect: d, StartTimeout: time.Second, Restart: Restart{Min: 24 * time.Hour, Max: 24 * time.Hour}})
		start := time.Now()
		c.ask(t.Context(), "", CallOptions{})
		time.Sleep(time.Minute)
		require.Equal(t, []State{StateStopped}, c.states(), "the process is gone without its connection")
		at(start, time.Hour)
		_, err := d.stream.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrClosed)
		require.Zero(t, c.Snapshot().Counters.LateEvents)
	})
}

// TestGoodbyeIsHeededAtOnce: the reader that brings it withdraws the worker before anybody else gets to it.
func TestGoodbyeIsHeededAtOnce(t *testing.T) {
	p, err := New(Options{Max: 1, Start: noStart})
	require.NoError(t, err)
	w := readyWorker(p, 2)
	w.saidGoodbye("enough")
	require.Nil(t, p.ready.best())
	require.Equal(t, census{stopped: 1, leaving: 1}, p.census)
}

func TestGoodbyeBeforeCreated(t *testing.T) {
	p, err := New(Options{Max: 1, Start: noStart})
	require.NoError(t, err)
	w := readyWorker(p, 2)
	p.withdraw(w)
	w.slot.machine = machine{state: StateStarting, gen: 1}
	w.saidGoodbye("enough")
	p.post(w, event{kind: evCreated})
	require.Equal(t, StateReady, w.slot.machine.state)
	require.Nil(t, p.ready.best(), "it gets no calls")
	require.Equal(t, census{stopped: 1, leaving: 1}, p.census)
	require.Len(t, w.wake, 1, "its owner sees to the rest")
}

func TestMaxMessage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrewOf(t, Options{Dialect: &native{}, MaxMessage: 100 << 10}, func(int) process.Func {
			return speakers[1].worker(1, func(job) (any, error) { return make([]byte, 200<<10), nil })
		})
		e := asError(t, c.Call(t.Context(), "echo", "", nil, CallOptions{}))
		require.Equal(t, ClassRemote, e.Class)
		var remote *rpc.RemoteError
		require.ErrorAs(t, e, &remote)
		require.Equal(t, rpc.CodeBadResult, remote.Code)
	})
}

// TestLostUnderTheHook: a hook that does not notice the end of the connection does not make the worker ready.
func TestLostUnderTheHook(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrewOf(t, Options{
			Restart:   Restart{Min: time.Hour, Max: time.Hour},
			StartHook: func(context.Context, Conn) error { time.Sleep(patience / 2); return nil },
		}, func(int) process.Func {
			return func(m *process.Memory) int {
				fmt.Fprintln(m.Stdout, `{"hello":1,"ready":true}`+"\n"+`{"ready":true}`)
				_ = m.Stdout.Close()
				<-m.Killed
				return 0
			}
		})
		c.ask(t.Context(), "", CallOptions{})
		time.Sleep(patience * 3 / 4)
		require.Equal(t, []State{StateStarting}, c.states())
		time.Sleep(patience / 2)
		require.Equal(t, []State{StateStopping}, c.states())
		require.EqualValues(t, 1, c.Snapshot().Counters.BootFailures)
	})
}

func TestStartTimeoutSaysWhatTheWorkerSaid(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{StartTimeout: 10 * time.Second}, program{loading: 1, loads: 9 * time.Second, mute: true})
		require.ErrorContains(t, c.echo(t.Context(), ""), `not ready within StartTimeout (10s); it last said "still"`)
	})
}

// TestRungsAreNotSkipped: a rung's time that is over at the very moment when the pool asks for the next one leads to one step, not two.
func TestRungsAreNotSkipped(t *testing.T) {
	p, err := New(Options{Max: 1, Start: noStart})
	require.NoError(t, err)
	w := readyWorker(p, 1)
	w.slot.machine.state = StateStopping
	w.at, w.target, w.alarm = 0, 1, alarmRung
	w.onAlarm()
	require.Equal(t, 1, w.target)
	w.at, w.alarm = 1, alarmRung
	w.onAlarm()
	require.Equal(t, 2, w.target)
}

// broken is a dialect whose connections end with an error of the stream.
type broken struct{ jsonLines }

type brokenConn struct{ Conn }

func (d broken) Connect(ctx context.Context, s Stream, o ConnOptions) (Conn, error) {
	conn, err := d.jsonLines.Connect(ctx, s, o)
	return brokenConn{conn}, err
}

func (brokenConn) Err() error { return syscall.EPIPE }

func TestLostConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{Dialect: broken{}}, program{handle: func(v *visit) (any, error) { return nil, v.Stdout.Close() }})
		err := c.echo(t.Context(), "")
		require.ErrorIs(t, err, syscall.EPIPE)
		require.ErrorContains(t, err, "connection lost, still running")
	})
}

// TestNonsenseOnTheLadder: it does not stop the climb.
func TestNonsenseOnTheLadder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		say := make(chan struct{})
		c := newCrewOf(t, Options{
			StartHook: func(ctx context.Context, _ Conn) error { <-ctx.Done(); return context.Cause(ctx) },
		}, func(int) process.Func {
			return func(m *process.Memory) int {
				m.Signals()
				fmt.Fprintln(m.Stdout, `{"hello":1}`+"\n"+`{"ready":true}`)
				<-say
				fmt.Fprintln(m.Stdout, "Segmentation fault")
				<-m.Killed
				return 0
			}
		})
		c.ask(t.Context(), "", CallOptions{})
		stop := c.async(func() error { return c.Stop(t.Context()) })
		closing := c.async(c.Close) // and it begins to climb
		close(say)
		start := time.Now()
		require.NoError(t, closing.result())
		require.NoError(t, stop.result())
		require.LessOrEqual(t, time.Since(start), defaultCloseGrace+defaultKillGrace)
	})
}

// A worker whose connection has ended gets no further calls, even before its own goroutine has noticed: a call that is repeated at once
// must not get it again (P18).
func TestP18_LostWorkerIsNotTaken(t *testing.T) {
	for name, end := range map[string]func(p *Pool, w *worker){
		"while it is free": func(*Pool, *worker) {},
		"while it is in use, when the place is given back": func(p *Pool, w *worker) {
			got, err := p.take(t.Context(), false)
			require.NoError(t, err)
			require.Same(t, w, got)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(Options{Max: 1, Queue: -1, Start: noStart})
			require.NoError(t, err)
			w := readyWorker(p, 1)
			end(p, w)
			close(w.conn.(lasting).done)
			if w.inFlight > 0 {
				w.freed()
				require.Zero(t, w.inFlight)
				require.Nil(t, p.ready.best())
			}
			_, err = p.take(t.Context(), true)
			require.ErrorIs(t, err, ErrQueueFull)
			require.Nil(t, p.ready.best())
			require.Equal(t, census{stopped: 1, leaving: 1}, p.census)
		})
	}
}
