package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

const (
	// maxExtensions bounds how often StartTimeout fits into the whole start of a worker that says that it is still loading.
	maxExtensions = 10
	// patience is how long one sign of a worker's end waits for the others: the end of its output for its exit, its exit for what is left
	// of its output and of its standard error.
	patience = 100 * time.Millisecond
	// maxWords bounds what is kept of a worker's words, in bytes.
	maxWords = 200
)

var (
	errStartTimeout = errors.New("not ready within StartTimeout")
	errStartEnded   = errors.New("the process has exited")
	errEarlyGoodbye = errors.New("said goodbye before it was ready")
	errStillRunning = errors.New("closed its stdout, still running")
)

// startNews is how far a start has come.
type startNews struct {
	conn Conn  // nil: the handshake is not done, or failed
	err  error // why the start failed
	last bool  // nothing more comes
}

// launchProcess starts the process.
func (w *worker) launchProcess() error {
	o := w.pool.opts
	start := o.Start
	if start == nil {
		start = process.Start
	}
	proc, err := start(w.command, process.Options{
		Log:          o.Log,
		Name:         w.name(),
		DrainTimeout: unresolved(o.DrainTimeout),
		Guard:        o.Guard,
		SpareStrays:  o.SpareStrays,
		ExtraEnv:     []string{rpc.EnvWorker + "=1"},
	})
	if err != nil {
		return err
	}
	w.proc = proc
	return nil
}

// unresolved undoes resolve for a grace: below the pool, too, zero is the default and a negative value does not wait.
func unresolved(grace time.Duration) time.Duration {
	if grace == 0 {
		return -1
	}
	return grace
}

// beginStart lets the handshake begin. A pool that was closed while the process was being launched has it killed.
func (w *worker) beginStart() {
	p := w.pool
	ctx, cancel := context.WithCancelCause(context.Background())
	w.cancel = cancel
	w.starts = make(chan startNews, 2) // as many as are sent
	w.timer = time.NewTimer(time.Hour)
	w.timer.Stop()

	p.change(func(fx *effects) {
		w.pid = w.proc.PID()
		p.counters.Started++
		p.tellOf(w, Event{Kind: EventStarted})
		if p.opts.StartTimeout > 0 {
			w.deadline = w.launched + p.opts.StartTimeout
		}
		if p.phase == phaseClosed {
			p.apply(w.slot, event{kind: evKill, gen: w.gen, why: process.KillerShutdown, from: process.Kill}, fx)
			w.end(p.rungOf(process.Kill), process.KillerShutdown)
		}
	})
	w.watchStart()
	// Ends when the dialect and the hook return, which they owe us when the context ends.
	go w.start(ctx, w.starts)
}

// start does the handshake, then runs the start hook. It tells the worker's goroutine of both.
func (w *worker) start(ctx context.Context, news chan<- startNews) {
	o := w.pool.opts
	conn, err := o.Dialect.Connect(ctx, w.proc.Stream(), ConnOptions{
		Pool:       o.Name,
		Slot:       w.slot.index,
		OwnGroup:   o.Start == nil && runtime.GOOS != "windows",
		InFlight:   o.InFlight,
		MaxMessage: o.MaxMessage,
		Log:        w.log(),
		Goodbye:    w.saidGoodbye,
		Starting:   w.saidStarting,

		CancelGrace: o.CancelGrace,
		Stuck:       w.saidStuck,
		WriteStall:  o.WriteStall,
		FrameStall:  o.FrameStall,
		Heartbeat:   o.Heartbeat,
	})
	if err != nil {
		news <- startNews{err: err, last: true}
		return
	}
	news <- startNews{conn: conn}
	if o.StartHook != nil {
		if err = o.StartHook(ctx, hookConn{Conn: conn, worker: w}); err != nil {
			err = fmt.Errorf("start hook: %w", err)
		}
	}
	news <- startNews{conn: conn, err: err, last: true}
}

// hookConn is the connection as the start hook gets it: the calls made on it take places like all others.
type hookConn struct {
	Conn
	worker *worker
}

func (c hookConn) Call(ctx context.Context, method string, args, reply any, o rpc.CallOptions) error {
	p := c.worker.pool
	p.mu.Lock()
	c.worker.inFlight++
	if c.worker.open {
		p.ready.put(c.worker) // a hook that goes on making calls
	}
	p.mu.Unlock()
	o.Freed = c.worker.release
	return c.Conn.Call(ctx, method, args, reply, o)
}

// saidStuck: the worker does not end a canceled call. The rest is its owner's.
func (w *worker) saidStuck() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.stuck = true
	w.poke()
}

// saidGoodbye: the worker takes no further calls. The rest is its owner's.
func (w *worker) saidGoodbye(reason string) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.goodbye, w.lastWords = true, brief(reason)
	w.pool.withdraw(w)
	w.poke()
}

// saidLeaving: the worker has refused a call or cut it off because it has begun to stop. Its goodbye comes when its other calls have ended.
func (w *worker) saidLeaving() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.leaving = true
	w.pool.withdraw(w)
	w.poke()
}

// saidStarting gives the worker more time for its start.
func (w *worker) saidStarting(message string) {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	w.lastWords = brief(message)
	if p.opts.StartTimeout > 0 {
		w.deadline = min(p.now(), w.launched+(maxExtensions-1)*p.opts.StartTimeout) + p.opts.StartTimeout
	}
	w.poke()
}

// overdue says that the start took too long.
func (w *worker) overdue() error {
	limit := w.pool.opts.StartTimeout
	if words := w.orders().lastWords; words != "" {
		return fmt.Errorf("%w (%v); it last said %q", errStartTimeout, limit, words)
	}
	if w.conn == nil {
		return fmt.Errorf("%w (%v): the handshake was not over", errStartTimeout, limit)
	}
	return fmt.Errorf("%w (%v)", errStartTimeout, limit)
}

// bootError says why this worker did not become ready.
func (w *worker) bootError(err error, exit *Exit) *bootError {
	b := &bootError{err: err}
	switch {
	case exit != nil:
		b.ended, b.exit, b.tail = true, *exit, exit.Report.StderrTail
	case w.proc != nil:
		b.tail = w.proc.StderrTail()
	}
	if w.command.Self != "" && w.conn == nil && !startFatal(err) {
		b.remedy = selfRemedy
	}
	return b
}

// brief cuts a worker's words.
func brief(words string) string { return words[:min(len(words), maxWords)] }
