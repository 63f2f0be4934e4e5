package pool

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// crew is a pool of in-memory processes under test. Internal errors fail the test, and at its end the pool is closed.
type crew struct {
	*Pool
	t *testing.T

	mu    sync.Mutex
	procs []*process.Process // launched, in order
}

// newCrew makes a pool whose nth launch runs the nth program, or the last one if there are fewer. Options that matter to no test are
// filled in: one worker, no jitter.
func newCrew(t *testing.T, o Options, programs ...program) *crew {
	t.Helper()
	if len(programs) == 0 {
		programs = []program{{}}
	}
	return newCrewOf(t, o, func(launch int) process.Func { return programs[min(launch, len(programs)-1)].run })
}

func newCrewOf(t *testing.T, o Options, program func(launch int) process.Func) *crew {
	t.Helper()
	c := &crew{t: t}
	if o.Name == "" {
		o.Name = "crew"
	}
	if o.Max == 0 {
		o.Max = max(1, o.Min)
	}
	if o.Dialect == nil {
		o.Dialect = jsonLines{}
	}
	if o.random == nil {
		o.random = func() float64 { return 0.5 }
	}
	if o.onInternal == nil {
		o.onInternal = func(text string) { t.Errorf("internal error: %s", text) }
	}
	if o.Start == nil {
		o.Start = func(_ process.Command, po process.Options) (*process.Process, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			proc := process.StartFunc(program(len(c.procs)), po)
			c.procs = append(c.procs, proc)
			return proc, nil
		}
	}
	pool, err := New(o)
	require.NoError(t, err)
	c.Pool = pool
	t.Cleanup(func() {
		_ = pool.Close()
		c.checkQuiet()
	})
	return c
}

// checkQuiet checks what holds after every Close that had its time: no process, no waiter, no call is left.
func (c *crew) checkQuiet() {
	for _, w := range c.Snapshot().Workers {
		require.Equal(c.t, StateStopped, w.State, "slot %d", w.Slot)
	}
	require.Zero(c.t, c.Snapshot().Waiting)
	require.Zero(c.t, c.preparedBytes(), "of calls that nobody waits for")
	for _, p := range c.launched() {
		require.NotZero(c.t, p.Report().PID, "a process was left behind")
	}
}

func (c *crew) launched() []*process.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*process.Process(nil), c.procs...)
}

// proc returns the nth process launched.
func (c *crew) proc(n int) *process.Process { return c.launched()[n] }

// crash kills the nth process launched, as a stranger would.
func (c *crew) crash(n int) { require.NoError(c.t, c.proc(n).Signal(process.KILL)) }

// launchOf returns which launch the process in a slot is.
func (c *crew) launchOf(slot int) int {
	workers := c.Snapshot().Workers
	pid := workers[slices.IndexFunc(workers, func(w WorkerSnapshot) bool { return w.Slot == slot })].PID
	return slices.IndexFunc(c.launched(), func(p *process.Process) bool { return p.PID() == pid })
}

// slowStderr is a logger that takes most of the pool's patience for each line of a worker's standard error.
func slowStderr() *slog.Logger {
	return slog.New(lookingHandler{func(r slog.Record) {
		if r.Message == "stderr" {
			time.Sleep(patience * 3 / 4)
		}
	}})
}

// lookingHandler hands each log record to a function.
type lookingHandler struct{ look func(slog.Record) }

func (h lookingHandler) Handle(_ context.Context, r slog.Record) error { h.look(r); return nil }
func (lookingHandler) Enabled(context.Context, slog.Level) bool        { return true }
func (h lookingHandler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h lookingHandler) WithGroup(string) slog.Handler                 { return h }

// states returns the slots' states.
func (c *crew) states() []State {
	var states []State
	for _, w := range c.Snapshot().Workers {
		states = append(states, w.State)
	}
	return states
}

// echo makes a call and returns its error; the answer must be right.
func (c *crew) echo(ctx context.Context, text string) error {
	var out string
	if err := c.Call(ctx, "echo", text, &out, CallOptions{}); err != nil {
		return err
	}
	require.Equal(c.t, text, out)
	return nil
}

// serves checks that the pool answers a call.
func (c *crew) serves() {
	c.t.Helper()
	require.NoError(c.t, c.echo(context.Background(), "are you there?"))
}

// asked is a call on its way.
type asked struct {
	done chan struct{}
	err  error
}

// ask makes a call on a goroutine of its own, and returns when it has come as far as it can.
func (c *crew) ask(ctx context.Context, text string, o CallOptions) *asked {
	a := &asked{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.err = c.Call(ctx, "echo", text, nil, o)
	}()
	synctest.Wait()
	return a
}

// result waits for the call's end.
func (a *asked) result() error {
	<-a.done
	return a.err
}

// over says whether the call has ended.
func (a *asked) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// asError returns a call's error, which every failed call has.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	return e
}

// gate is a handler that answers when it is opened. It is made outside of what it holds up.
type gate struct {
	mu      sync.Mutex
	entered []string
	opened  chan struct{}
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

func (g *gate) handle(v *visit) (any, error) {
	g.mu.Lock()
	g.entered = append(g.entered, string(v.call.Args))
	g.mu.Unlock()
	select {
	case <-g.opened:
		return v.call.Args, nil
	case <-v.ctx.Done():
		return nil, v.ctx.Err()
	}
}

func (g *gate) open() { close(g.opened) }

// inBubble runs a test in a bubble of its own, where time passes only when all wait. At its end no goroutine may be left.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// at waits until so much time has passed since start.
func at(start time.Time, d time.Duration) {
	time.Sleep(d - time.Since(start))
	synctest.Wait()
}

// async runs f on a goroutine of its own, and returns when it has come as far as it can.
func (c *crew) async(f func() error) *asked {
	a := &asked{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.err = f()
	}()
	synctest.Wait()
	return a
}

// ready counts the workers that are ready and not retiring.
func (s Snapshot) ready() int {
	n := 0
	for _, w := range s.Workers {
		if w.State == StateReady && !w.Retiring {
			n++
		}
	}
	return n
}

// noStart is for pools that are given their workers by readyWorker.
func noStart(process.Command, process.Options) (*process.Process, error) {
	return nil, errors.New("no process in this test")
}

// readyWorker makes a pool's first slot ready, without a process or a goroutine.
func readyWorker(p *Pool, places int) *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.slots[0]
	s.machine = machine{state: StateReady, gen: 1, facts: facts{connected: true}}
	s.worker = &worker{pool: p, slot: s, gen: 1, places: places, open: true, wake: make(chan struct{}, 1), conn: lasting{done: make(chan struct{})}}
	p.ready.grow(places)
	p.ready.put(s.worker)
	p.census = p.count()
	return s.worker
}

// lasting is a connection of which only the end matters.
type lasting struct {
	Conn
	done chan struct{}
}

func (l lasting) Done() <-chan struct{} { return l.done }
