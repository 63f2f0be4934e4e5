package monitor

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// Result is what a watch has come to.
type Result struct {
	// Report says how the process ended. It is zero if the process was not started.
	Report process.Report

	// Output is the beginning of the standard output, at most WatchOptions.MaxOutput bytes, and Dropped is how many bytes followed it.
	Output  []byte
	Dropped int64
}

// Watch runs a program to its end, with its output lines as notifications. It returns when the process has ended and all notifications that
// were waiting have been handled or skipped. The error is nil if the process exited with code 0 and nothing failed; otherwise it is the first
// thing that went wrong, and errors.Is and errors.As find there
//
//   - an error of a notification, or ErrNotificationTimeout, or ErrInactive: the process was asked to end by WatchOptions.Signal for that, and
//     killed after WatchOptions.Grace;
//   - ErrTerminated and the cause, if ctx ended: the process was asked and killed likewise;
//   - an *ExitError, if the process exited with another code or was ended by a signal;
//   - a *process.StartError, if it could not be started.
//
// After the first failure no other notification is begun; the one under way is awaited, at most until its NotificationTimeout. After
// an exit with code 0 all lines are still handled; after another exit those that have been begun when the process has ended, unless
// WatchOptions.AllLines is set.
func Watch(ctx context.Context, c process.Command, o WatchOptions) (Result, error) {
	w, err := StartWatch(ctx, c, o)
	if err != nil {
		return Result{}, err
	}
	return w.Wait()
}

// StartWatch starts a program and watches it like Watch, without waiting for its end. ctx governs the whole watch. The error says what is wrong
// with the options, that ctx has ended, or why the program could not be started.
func StartWatch(ctx context.Context, c process.Command, o WatchOptions) (*Watcher, error) {
	o, err := o.resolve(c)
	if err != nil {
		return nil, err
	}
	w := &Watcher{name: nameOf(c), ctx: ctx, o: o, started: make(chan struct{}), done: make(chan struct{})}
	w.changed.L = &w.mu
	w.docket.maxLines, w.docket.all = o.MaxQueue, o.AllLines
	if ctx.Err() != nil {
		return nil, w.failure(fmt.Errorf("not started: %w", context.Cause(ctx)))
	}
	if err := w.start(c); err != nil {
		return nil, w.failure(err)
	}
	return w, nil
}

// failure returns err as an error of this watch.
func (w *Watcher) failure(err error) error { return fmt.Errorf("watch %q: %w", w.name, err) }

func (w *Watcher) start(c process.Command) error {
	o := &w.o
	stdout := &process.Lines{Max: o.MaxLine, Emit: func(text string) { w.offer(Line{Stream: Stdout, Text: text}) }}
	stderr := &process.Lines{Max: o.MaxLine, Emit: func(text string) { w.offer(Line{Stream: Stderr, Text: text}) }}
	managed := process.ManagedOptions{Options: o.Options, Stdout: w.reading(w.collect, stdout)}
	if o.Stderr {
		managed.Stderr = w.reading(nil, stderr)
	}
	p, err := o.Start(c, managed)
	if err != nil {
		return err
	}
	w.p, w.log = p, o.Log.With("pid", p.PID())
	w.begin()
	w.feed()
	// Ends when the process has ended and what it wrote last is in the docket.
	go w.follow(stdout, stderr)
	return nil
}

// begin arms what is armed from the start.
func (w *Watcher) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.o.Inactivity > 0 {
		w.idleAt = time.Now().Add(w.o.Inactivity)
		w.idle = time.AfterFunc(w.o.Inactivity, w.idled)
	}
	w.forget = context.AfterFunc(w.ctx, w.canceled)
	close(w.started)
}

// feed gives the process its standard input.
func (w *Watcher) feed() {
	if w.o.Stdin == nil {
		_ = w.p.CloseStdin()
		return
	}
	_ = w.p.Attach(&feeder{Reader: w.o.Stdin, over: w.p.CloseStdin}) // it fails only if the process has gone, and closes the source
}

// feeder is a source of standard input with which the standard input ends.
type feeder struct {
	io.Reader
	over  func() error
	ended atomic.Bool
}

func (f *feeder) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == nil || n > 0 {
		return n, nil // an error comes again with the next Read
	}
	f.ended.Store(true)
	_ = f.over()
	return 0, err
}

// Close leaves a source alone that has ended: then it is the source that ends the standard input, not the other way round.
func (f *feeder) Close() error {
	if c, ok := f.Reader.(io.Closer); ok && !f.ended.Load() {
		return c.Close()
	}
	return nil
}

// reading returns an output function. It holds the output back until all is set up.
func (w *Watcher) reading(keep func([]byte), lines *process.Lines) func([]byte) {
	return func(data []byte) {
		<-w.started
		if keep != nil {
			keep(data)
		}
		_, _ = lines.Write(data)
	}
}

func (w *Watcher) collect(data []byte) {
	room := min(len(data), w.o.MaxOutput-len(w.result.Output))
	w.result.Output = append(w.result.Output, data[:room]...)
	w.result.Dropped += int64(len(data) - room)
}

// follow follows the process to its end.
func (w *Watcher) follow(outputs ...*process.Lines) {
	<-w.p.Exited()
	w.update("", func(*docket) error { return nil }) // which takes notice of the exit
	<-w.p.Ended()
	for _, lines := range outputs {
		lines.Flush()
	}
	w.update("", func(d *docket) error {
		d.end()
		return nil
	})
}
