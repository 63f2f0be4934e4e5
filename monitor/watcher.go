package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// Watcher is a program that is being watched, from its start by StartWatch until its result is there. Its methods may be used by several
// goroutines at once, and from inside notifications; but a notification must not Wait.
type Watcher struct {
	o       WatchOptions
	name    string // of the program
	ctx     context.Context
	p       *process.Managed
	log     *slog.Logger
	started chan struct{} // closed when all is set up
	done    chan struct{} // closed when result and err are final
	result  Result
	err     error

	mu      sync.Mutex
	changed sync.Cond // each change of the docket, for readers that wait for room
	docket  docket
	forget  func() bool // no longer watches ctx
	idle    *time.Timer // of Inactivity; nil if that is not limited
	idleAt  time.Time   // when it is over
	kill    *time.Timer // runs from the first signal to KILL
}

// The reasons that reports give when a watch ends a process.
const (
	killerNotification process.Killer = "notification failed"
	killerInactive     process.Killer = "inactive"
)

// PID returns the process's id.
func (w *Watcher) PID() int { return w.p.PID() }

// Done is closed when the watch is complete: the process has ended, and no notification waits or runs.
func (w *Watcher) Done() <-chan struct{} { return w.done }

// Wait waits for Done and returns what Watch would. It may be called any number of times.
func (w *Watcher) Wait() (Result, error) {
	<-w.done
	return w.result, w.err
}

// Terminate ends the process on request: it sends WatchOptions.Signal, and KILL if the process has not exited after Grace. It does not wait for
// that. Notifications go on until the exit. If the process then exits with code 0 that is a success; otherwise the result is an *ExitError that
// is ErrTerminated.
//
// If the process is gone or is being ended already, Terminate does nothing and returns nil. An error is why the signal could not be sent; KILL
// is still tried.
func (w *Watcher) Terminate() error {
	news := false
	w.update("", func(d *docket) error {
		news = d.stop()
		return nil
	})
	if !news {
		return nil
	}
	return w.end(process.KillerAsked)
}

// Reset is a sign of life: it gives the process the full time of WatchOptions.Inactivity again. When that is over, or the process is being
// ended or has exited, Reset does nothing.
func (w *Watcher) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if w.idle == nil || w.quiet() || !now.Before(w.idleAt) {
		return
	}
	w.idleAt = now.Add(w.o.Inactivity)
	w.idle.Reset(w.o.Inactivity)
}

// quiet tells whether Inactivity no longer counts.
func (w *Watcher) quiet() bool { return w.docket.failed() || w.docket.stopping || w.docket.exited }

// Notify puts a notification behind those that wait. It never blocks, so it may be used inside of another, after which f runs then. f is treated
// as WatchOptions.Line is. Notify returns why f will not run: the failure that the watch has met before, ErrOver, or ErrQueueFull if 1024
// wait that are no lines.
func (w *Watcher) Notify(f func(ctx context.Context) error) error { return w.add(notice{handle: f}) }

// NotifyLatest is Notify for periodic reports: at most one waits under each key. A newer one takes the place of the one that waits, and keeps
// its turn.
func (w *Watcher) NotifyLatest(key string, f func(ctx context.Context) error) error {
	return w.add(notice{handle: f, key: &key})
}

func (w *Watcher) add(n notice) (err error) {
	w.update("", func(d *docket) error {
		err = d.add(n)
		return nil
	})
	return err
}

// offer is called with each line that has been read, and waits for room.
func (w *Watcher) offer(l Line) {
	if w.o.Active != nil && w.o.Active(l) {
		w.Reset()
	}
	if w.o.Line == nil {
		return
	}
	n := notice{line: true, size: len(l.Text), handle: func(ctx context.Context) error { return w.o.Line(ctx, w, l) }}
	w.update("", func(d *docket) error {
		for !d.room() {
			w.changed.Wait()
		}
		d.addLine(n)
		return nil
	})
}

// update lets event change the docket, and does what follows from the change. If event returns an error, that is a failure; if it is the
// first, the process is ended, and its report says why. An exit that has happened is taken notice of before, so that of an exit and a
// failure after it the exit is the first.
func (w *Watcher) update(why process.Killer, event func(d *docket) error) {
	w.mu.Lock()
	d := &w.docket
	if closed(w.p.Exited()) {
		d.exit(w.p.Report().Success())
	}
	failure := event(d)
	first := failure != nil && d.fail(failure)
	end := first && d.stop()
	w.settle()
	w.mu.Unlock()

	if failure != nil && !first {
		w.log.Warn("failure after the first", slog.Any("err", failure))
	}
	if !end {
		return
	}
	if err := w.end(why); err != nil {
		w.log.Error("signal not sent", slog.String("signal", w.o.Signal.String()), slog.Any("err", err))
	}
}

// settle does what the docket's present state wants. The lock is held.
func (w *Watcher) settle() {
	d := &w.docket
	if w.idle != nil && w.quiet() {
		w.idle.Stop()
	}
	if w.kill != nil && d.exited {
		w.kill.Stop()
	}
	if n, ok := d.next(); ok {
		// Ends when the notification returns, which may be never; who waits does so until NotificationTimeout.
		go w.serve(n, d.turn)
	}
	if d.finish() {
		w.complete()
	}
	w.changed.Broadcast()
}

// serve runs one notification.
func (w *Watcher) serve(n notice, turn int) {
	err := fmt.Errorf("notification: %w", errGoexit)
	defer func() {
		w.update(killerNotification, func(d *docket) error {
			if d.returned() {
				return err
			}
			return nil // its failure is on record
		})
	}()
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	deadline := time.AfterFunc(w.o.NotificationTimeout, func() { w.expired(turn, cancel) })
	defer deadline.Stop()
	if err = n.handle(ctx); err != nil {
		err = fmt.Errorf("notification: %w", err)
	}
}

// expired runs when a notification has had its time. That is on record before the notification can heed it.
func (w *Watcher) expired(turn int, cancel context.CancelCauseFunc) {
	late := fmt.Errorf("%w (%v)", ErrNotificationTimeout, w.o.NotificationTimeout)
	w.update(killerNotification, func(d *docket) error {
		if d.expired(turn) {
			return late
		}
		return nil
	})
	cancel(late)
}

// idled runs when Inactivity may be over.
func (w *Watcher) idled() {
	w.update(killerInactive, func(*docket) error {
		if w.quiet() || time.Now().Before(w.idleAt) {
			return nil
		}
		return fmt.Errorf("%w (%v)", ErrInactive, w.o.Inactivity)
	})
}

// canceled runs when the context has ended.
func (w *Watcher) canceled() {
	w.update(process.KillerCancel, func(d *docket) error {
		switch {
		case d.over:
			return nil
		case d.exited:
			return context.Cause(w.ctx) // it was not ended for that
		}
		return fmt.Errorf("%w: %w", ErrTerminated, context.Cause(w.ctx))
	})
}

// end is the two-stage kill.
func (w *Watcher) end(why process.Killer) error {
	w.p.Blame(why)
	err := w.p.Take(process.Rung{Step: process.Terminate, Signal: w.o.Signal})
	if errors.Is(err, process.ErrExited) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.docket.exited {
		w.kill = time.AfterFunc(w.o.Grace, w.killNow)
	}
	return err
}

func (w *Watcher) killNow() {
	if err := w.p.Do(process.Kill); err != nil && !errors.Is(err, process.ErrExited) {
		w.log.Error("process not killed", slog.Any("err", err))
	}
}

// complete makes the result. The lock is held.
func (w *Watcher) complete() {
	w.result.Report = w.p.Report()
	w.err = w.docket.failure
	if w.err == nil && !w.result.Report.Success() {
		w.err = &ExitError{Report: w.result.Report}
	}
	if w.err != nil {
		w.err = w.failure(w.err)
	}
	w.forget()
	close(w.done)
}

// closed tells whether c is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
