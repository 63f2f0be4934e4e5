package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// climb takes the worker to a rung of the ladder and sets the alarm for the next.
func (w *worker) climb(rung int) {
	r := w.pool.ladder[rung]
	if w.at < 0 {
		w.gentle = r.Step < process.Terminate && w.created
		w.giveReason()
	}
	w.at = rung
	w.step(r)
	if rung < len(w.pool.ladder)-1 {
		w.setAlarm(alarmRung, r.Grace)
	} else {
		w.setAlarm(alarmKilled, unkilledFor) // nothing comes after KILL but the exit
	}
}

// unkilledFor is how long the calls of a process that was killed wait for its exit. The system may keep it for longer: while it is in the middle
// of what cannot be interrupted, such as reading from a disk that does not answer.
const unkilledFor = time.Second

var errUnkilled = errors.New("killed, and still not gone")

// immortal fails the calls of a process that does not even end when it is killed. It is waited for all the same.
func (w *worker) immortal() {
	if w.conn != nil {
		err := errUnkilled
		if w.failing != nil {
			err = fmt.Errorf("%w; %w", w.failing, err)
		}
		w.conn.Abort(err)
	}
	w.log().Error("process does not end although it was killed")
}

// nextRung: the present rung has had its time, unless the pool has asked for another already.
func (w *worker) nextRung() {
	if w.orders().target <= w.at {
		w.post(event{kind: evRungOver})
	}
}

// giveReason puts the reason for ending the process into its report.
func (w *worker) giveReason() {
	w.pool.mu.Lock()
	w.blame(process.KillerAsked)
	why := w.why
	w.pool.mu.Unlock()
	w.proc.Blame(why)
}

// step does what a rung says. What may block is left to a helper, so that the exit is noticed meanwhile.
func (w *worker) step(r process.Rung) {
	switch {
	case r.Step == process.Ask:
		now := w.pool.closed()
		w.help(r.Step, func() error { return w.conn.Shutdown(now, r.Grace) })
	case r.Step == process.CloseStdin && w.conn != nil:
		w.help(r.Step, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), r.Grace)
			defer cancel()
			return w.conn.CloseWrite(ctx)
		})
	default:
		w.logStep(r.Step, w.proc.Do(r.Step))
	}
}

func (w *worker) help(step process.Step, f func() error) {
	// Ends when f has: at the latest when the connection is closed, after the exit.
	w.helpers.Go(func() { w.logStep(step, f()) })
}

func (w *worker) logStep(step process.Step, err error) {
	if err != nil && !errors.Is(err, process.ErrExited) {
		w.log().Debug("step failed", slog.String("reason", step.String()), slog.Any("err", err))
	}
}

// failCalls fails the calls in flight because the pool is closed. A worker that was asked to finish them first is asked again.
func (w *worker) failCalls() {
	w.aborted = true
	w.conn.Abort(ErrClosed)
	if w.at >= 0 && w.pool.ladder[w.at].Step == process.Ask {
		w.step(w.pool.ladder[w.at])
	}
}

// bury does what is left to do when the process has exited: what it has answered is delivered, its other calls fail, the slot is told, and
// whatever belonged to it ends.
func (w *worker) bury() {
	w.clearAlarm()
	w.pool.change(func(*effects) { w.pool.withdraw(w) })
	w.awaitHandshake()
	w.awaitStderr()
	w.cancel(errStartEnded)

	exit := w.exit()
	w.noteCrash(exit.Report.Killer)
	if w.conn != nil {
		w.conn.Drain(w.causeOf(exit))
		exit = w.exit()
	}
	w.post(event{kind: evTerminated, exit: exit, err: w.bootError(w.news.err, &exit), fatal: startFatal(w.news.err)})
	w.reportForce(exit)
	w.mourn()

	w.setStage(stageDrain)
	<-w.proc.Ended()
	w.setStage(stageRest)
	w.finish()
}

// causeOf is what the calls cut short by the exit fail with.
func (w *worker) causeOf(exit Exit) error {
	switch {
	case w.orders().abort:
		return ErrClosed
	case w.failing != nil:
		return &failedError{err: w.failing, exit: exit}
	default:
		return exit
	}
}

// awaitHandshake waits a little for a handshake that was under way at the exit: the worker may have said why it ends.
func (w *worker) awaitHandshake() {
	w.timer.Reset(patience)
	for w.starts != nil && w.conn == nil {
		select {
		case n := <-w.starts:
			w.take(n)
		case <-w.timer.C:
			return
		}
	}
}

// awaitStderr waits a little for the end of the standard error, which tends to say why a process ended.
func (w *worker) awaitStderr() {
	w.timer.Reset(patience)
	select {
	case <-w.proc.Drained():
	case <-w.timer.C:
	}
	w.timer.Stop()
}

func (w *worker) exit() Exit {
	return Exit{
		Pool:       w.pool.opts.Name,
		Slot:       w.slot.index,
		Generation: w.gen,
		Calls:      w.calls.Load(),
		Culprit:    w.culprit,
		Report:     w.proc.Report(),
	}
}

// reportForce remembers, for Close, that the worker did not go when asked.
func (w *worker) reportForce(exit Exit) {
	if !w.gentle || w.pool.ladder[w.at].Step < process.Terminate {
		return
	}
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.pool.phase == phaseClosed {
		w.pool.forced = append(w.pool.forced, fmt.Errorf("worker %s (pid %d) did not stop when asked: %v", w.name(), w.pid, exit.Report))
	}
}

// mourn runs the exit hook, if the machine said so.
func (w *worker) mourn() {
	hook := w.pool.opts.ExitHook
	if !w.bereaved || hook == nil {
		return
	}
	w.setStage(stageExitHook)
	<-w.proc.Ended() // so that the report has all of the standard error
	hook(w.exit())
}

// finish waits for the goroutines that belong to the worker. A handshake that is still under way loses its stream.
func (w *worker) finish() {
	if w.conn == nil {
		w.closing(w.proc.Stream().Close())
	}
	for w.starts != nil {
		w.take(<-w.starts)
	}
	if w.conn != nil {
		w.closing(w.conn.Close())
	}
	w.helpers.Wait()
}

func (w *worker) closing(err error) {
	if err != nil {
		w.log().Debug("closing failed", slog.Any("err", err))
	}
}

func (w *worker) setStage(s stage) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.stage = s
}

func (w *worker) name() string { return workerName(w.pool.opts.Name, w.slot.index) }

// ownerEnded takes note that a worker's goroutine is about to end.
func (p *Pool) ownerEnded(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owners = slices.DeleteFunc(p.owners, func(o *worker) bool { return o == w })
	p.notify()
}
