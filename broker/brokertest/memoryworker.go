package brokertest

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/worker"
)

const (
	// defaultExitGrace is that of worker.Options.
	defaultExitGrace = time.Second
	// endless is the grace of a Serve that is to return when all handlers have.
	endless = 365 * 24 * time.Hour
	// exitBroken is the exit code of a worker that cannot start, as worker.Run has it.
	exitBroken = 1
)

// memoryWorker is one worker: a process in memory that serves with the SDK, and what stands between the SDK and the pipes. In place of
// worker.Run, which exits the process, it follows the same rules.
type memoryWorker struct {
	pool *Pool

	launched chan struct{}    // closed when proc is set
	proc     *process.Process // set before launched
	running  chan struct{}    // closed when the process runs
	mem      *process.Memory  // set before running
	in       *input           // likewise
	out      *output          // likewise

	exits  chan int      // the code to exit with; buffered
	served chan error    // how serving ended; buffered
	over   chan struct{} // closed when nothing is left, the handlers included

	freezing, dying sync.Once
	frozen          chan struct{} // closed when the process does nothing any more
	dead            chan struct{} // closed when a fault has ended the process
}

func newMemoryWorker(p *Pool) *memoryWorker {
	return &memoryWorker{
		pool:     p,
		launched: make(chan struct{}),
		running:  make(chan struct{}),
		exits:    make(chan int, 1),
		served:   make(chan error, 1),
		over:     make(chan struct{}),
		frozen:   make(chan struct{}),
		dead:     make(chan struct{}),
	}
}

// run is the process. It returns when that is dead; handlers may take longer.
func (w *memoryWorker) run(m *process.Memory) int {
	w.mem, w.out = m, newOutput(m.Stdout)
	w.in = newInput(w, m.Stdin)
	close(w.running)
	o := w.pool.crew.Worker
	switch f := w.pool.script.start(); f.kind {
	case none:
	case hang:
		defer w.finish()
		_, _ = io.Copy(io.Discard, m.Stdin) // to the end of input; an error is the end of the process
		return 0
	case answer:
		o.Start = func(context.Context) error { return f.err }
	default:
		w.suffer(f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// Ends when the process has and its handlers have returned.
	go w.serve(ctx, o)
	return w.live(o.ExitGrace)
}

// serve is what a worker program does. A process that is frozen or dead before it has begun does nothing.
func (w *memoryWorker) serve(ctx context.Context, o worker.Options) {
	defer w.finish()
	if w.isFrozen() || w.isDead() {
		return
	}
	if o.InFlight == 0 {
		o.InFlight = worker.AnyInFlight
	}
	o.ExitGrace = endless // handlers that outlive the process are waited for all the same
	made := worker.New(o)
	w.pool.crew.Handlers(made)
	w.served <- made.Serve(ctx, w.in, w.out)
}

func (w *memoryWorker) finish() {
	w.pool.ended(w)
	close(w.over)
}

// live waits for the end of the process and returns its exit code, which counts for nothing if a signal has ended it.
func (w *memoryWorker) live(exitGrace time.Duration) int {
	if exitGrace == 0 {
		exitGrace = defaultExitGrace
	}
	var grace <-chan time.Time
	ended := w.in.ended
	for {
		select {
		case code := <-w.exits:
			return code
		case <-w.mem.Killed:
			return 0
		case <-w.frozen:
			<-w.mem.Killed
			return 0
		case err := <-w.served:
			if err != nil {
				fmt.Fprintf(w.mem.Stderr, "worker: %v\n", err)
				return exitBroken
			}
			return 0
		case <-ended:
			ended = nil
			timer := time.NewTimer(max(exitGrace, time.Nanosecond))
			defer timer.Stop()
			grace = timer.C
		case <-grace:
			return 0 // whatever its handlers do
		}
	}
}

// suffer has the worker meet with a fault that is not about one call.
func (w *memoryWorker) suffer(f Fault) {
	<-w.running
	switch f.kind {
	case exit:
		w.die(f.text)
		select {
		case w.exits <- f.code:
		default: // it is exiting
		}
	case killed:
		w.die(f.text)
		w.kill(process.Signal(f.code))
	case freeze:
		w.freezing.Do(func() {
			w.mem.Signals() // TERM does not end it from here on
			w.out.mute()
			close(w.frozen)
		})
	case garbage:
		w.out.insert([]byte(f.text))
	case goodbye:
		w.in.leave()
	}
}

// die has the process say its last words.
func (w *memoryWorker) die(stderr string) {
	w.dying.Do(func() {
		w.out.mute()
		_, _ = io.WriteString(w.mem.Stderr, stderr) // fails if it is dead already
		close(w.dead)
	})
}

// kill sends the process a signal. It is an error, and of no interest, if it is dead.
func (w *memoryWorker) kill(s process.Signal) {
	<-w.launched
	_ = w.proc.Signal(s)
}

func (w *memoryWorker) isFrozen() bool { return isClosed(w.frozen) }

func (w *memoryWorker) isDead() bool { return isClosed(w.dead) }

// isReady says that the worker has become ready and its process has not ended since, nor is about to.
func (w *memoryWorker) isReady() bool {
	return isClosed(w.running) && isClosed(w.out.ready) && !w.isDead() && !isClosed(w.mem.Killed) && !isClosed(w.exited())
}

func (w *memoryWorker) exited() <-chan struct{} {
	<-w.launched
	return w.proc.Exited()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
