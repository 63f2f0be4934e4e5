package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/testworkers/hostile/modes"
)

const (
	// hostileVariable, if it is set, makes this program a hostile worker. The processes that such a worker leaves behind inherit it, and play on.
	hostileVariable = "BROKER_DEMO_HOSTILE"
	hostileCrew     = "hostile"
	goodMode        = "good" // is none
)

// beHostile does not return in a hostile worker, whose mode is the argument. It comes before worker.Main, which such a worker does without.
func beHostile() {
	if os.Getenv(hostileVariable) != "" {
		os.Exit(modes.Main(os.Args[1:]))
	}
}

// hostileCommand is this program as a hostile worker, with what else is to be in its environment.
func hostileCommand(env []string, mode string) broker.Command {
	c := broker.Self(hostileCrew)
	c.Args = []string{mode}
	c.Env = append(slices.Clip(env), hostileVariable+"=1")
	return c
}

// lane is a pool of one hostile worker at a time, whose mode each fault changes. Its faults come one after another.
type lane struct {
	pool *broker.Pool
	mode atomic.Pointer[string]
}

// options of a lane's pool. All graces are short, so that every fault is over soon.
func (l *lane) options(env []string) broker.PoolOptions {
	l.play(goodMode)
	return broker.PoolOptions{
		Command:      hostileCommand(env, goodMode),
		Max:          1,
		InFlight:     mostBeside + 1,
		MaxMessage:   1 << 20, // less than the mode oversize sends
		StartTimeout: time.Second,
		CallTimeout:  400 * time.Millisecond,
		CancelGrace:  100 * time.Millisecond,
		WriteStall:   500 * time.Millisecond,
		FrameStall:   500 * time.Millisecond,
		RetireGrace:  100 * time.Millisecond,
		StopGrace:    100 * time.Millisecond,
		CloseGrace:   50 * time.Millisecond,
		KillGrace:    50 * time.Millisecond,
		DrainTimeout: 100 * time.Millisecond,
		Restart:      broker.Restart{Min: time.Millisecond, Max: 20 * time.Millisecond},
		Start: func(c process.Command, o process.Options) (*process.Process, error) {
			c.Args = []string{*l.mode.Load()}
			return process.Start(c, o)
		},
	}
}

// play has workers that are started from now on misbehave in this mode.
func (l *lane) play(mode string) { l.mode.Store(&mode) }

// throw has a worker misbehave, and returns nil when a call of the same pool has been answered after it and the workers are put away.
func (l *lane) throw(ctx context.Context, f fault, calls *callLog) error {
	l.play(f.kind)
	var beside sync.WaitGroup
	for range f.beside {
		beside.Go(func() { // ends with the call, which CallTimeout bounds
			_ = calls.make(func() error { return l.pool.Call(ctx, "hold", nil, nil) }, transient)
		})
	}
	_ = calls.make(func() error { return l.misbehave(ctx, f) }, func(err error) bool { return mayEnd(f, err) })
	beside.Wait()
	l.play(goodMode)
	return errors.Join(prove(ctx, calls, l.echo), l.stop(ctx))
}

func (l *lane) misbehave(ctx context.Context, f fault) error {
	var out any
	return l.pool.Call(ctx, "misbehave", f.beside, &out, broker.Timeout(f.leave))
}

// echo makes a good call.
func (l *lane) echo(ctx context.Context) error {
	var answer struct {
		_msgpack struct{} `msgpack:",as_array"`
		PID      int
		Text     string
	}
	const text = "an echo"
	if err := l.pool.Call(ctx, "echo", text, &answer); err != nil {
		return err
	}
	if answer.Text != text {
		return errWrongAnswer
	}
	return nil
}

func (l *lane) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	return l.pool.Stop(ctx)
}

// betweenProofs is the pause before another try, where there was no worker.
const betweenProofs = 20 * time.Millisecond

// prove returns nil when a call has been answered, which shows that a pool has survived.
func prove(ctx context.Context, calls *callLog, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	for {
		err := calls.make(func() error { return call(ctx) }, transient)
		if err == nil {
			return nil
		}
		if pause(ctx, betweenProofs) != nil {
			return fmt.Errorf("no call is answered any more, for %v: %w", callBound, err)
		}
	}
}
