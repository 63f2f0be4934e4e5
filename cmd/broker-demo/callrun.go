package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/pool"
	"github.com/stdcrew/stdcrew/process"
)

// betweenStarts is the pause before a program that did not start is tried again; then it doubles.
const betweenStarts = 100 * time.Millisecond

// callRun is one execution of call.
type callRun struct {
	options callOptions
	console console

	mu        sync.Mutex
	processes []*process.Process
	launched  time.Time // the last of them
	ready     time.Time // when it took calls; zero: it never did
}

// runCall makes the call, stops the worker and prints what has come of both.
func runCall(o callOptions, c console, signals <-chan os.Signal, restore func()) error {
	r := &callRun{options: o, console: c}
	crew, err := newCrew(o.poolName(), r.pool())
	if err != nil {
		restore()
		return err
	}
	on := watchInterrupts(signals, restore, func() {})
	defer on.stop()
	awaited := context.AfterFunc(on.force, r.kill)

	var reply msgpack.RawMessage
	err = crew.pool.Call(on.drain, o.method, o.args, &reply, broker.Timeout(o.timeout))
	ended := time.Now()
	interrupted := on.drain.Err() != nil
	closeErr := crew.close()
	awaited()

	r.printTimes(ended)
	r.printExits()
	if closeErr != nil {
		fmt.Fprintf(c.stderr, "error: %v\n", closeErr)
	}
	if err == nil {
		err = r.printReply(reply)
	} else {
		r.printFailure(err)
		err = &exitError{code: exitWrong}
	}
	switch {
	case interrupted:
		return &exitError{code: exitInterrupted}
	case err == nil && closeErr != nil:
		return &exitError{code: exitWrong}
	}
	return err
}

// pool is a crew of one worker, whose processes r gets to see. A pool gives away the exit reports of workers that ended without having been
// asked to, not of those that it stops. The price is that the worker is not told that its process group is its own.
func (r *callRun) pool() broker.PoolOptions {
	handler := slog.NewTextHandler(r.console.stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime})
	return broker.PoolOptions{
		Command:   r.options.command,
		Max:       1,
		Restart:   broker.Restart{Min: betweenStarts},
		Start:     r.start,
		StartHook: r.started,
		Log:       slog.New(handler),
	}
}

// withoutTime leaves out of a log line what a line on a terminal does not need.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return a
}

func (r *callRun) start(c process.Command, o process.Options) (*process.Process, error) {
	begun := time.Now()
	p, err := process.Start(c, o)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes = append(r.processes, p)
	r.launched, r.ready = begun, time.Time{}
	return p, nil
}

func (r *callRun) started(context.Context, pool.Conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready = time.Now()
	return nil
}

// kill ends the processes, whatever they are doing.
func (r *callRun) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.processes {
		_ = p.Do(process.Kill) // fails for one that has exited
	}
}

// printTimes says what the start and the call took, as far as they came.
func (r *callRun) printTimes(ended time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ready.IsZero() {
		fmt.Fprintf(r.console.stderr, "start: %v, call: %v\n", brief(r.ready.Sub(r.launched)), brief(ended.Sub(r.ready)))
	}
}

func brief(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

// printExits says how the processes ended. They are gone, unless closing the crew failed.
func (r *callRun) printExits() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.processes {
		fmt.Fprintf(r.console.stderr, "worker (pid %d): %v\n", p.PID(), p.Report())
	}
}

func (r *callRun) printReply(reply msgpack.RawMessage) error {
	text, err := decodeJSON(reply)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.console.stdout, "%s\n", text)
	return err
}

// printFailure says whose matter a failed call is, what is known of its execution, and the rest.
func (r *callRun) printFailure(err error) {
	out := r.console.stderr
	var e *broker.Error
	if errors.As(err, &e) {
		fmt.Fprintf(out, "class: %v, delivery: %v\n", e.Class, e.Delivery)
	}
	fmt.Fprintf(out, "error: %v\n", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready.IsZero() {
		fmt.Fprintf(out, noWorker+"\n", append([]string{r.options.command.Path}, r.options.command.Args...))
	}
}
