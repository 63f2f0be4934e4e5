package process

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// Func is what an in-memory process runs. Its result is the exit code.
type Func func(m *Memory) int

// Memory is what an in-memory process sees of the world.
type Memory struct {
	PID int

	// The standard streams. Between them and the other side are pipes of 64 KiB. They are closed when the process ends, and may be closed
	// before.
	Stdin          io.ReadCloser
	Stdout, Stderr io.WriteCloser

	// Killed is closed when a signal has ended the process. For the outside it is dead from then on, its streams are broken, and what the
	// Func returns later is of no interest; but it should return.
	Killed <-chan struct{}

	child *memoryChild
}

// Signals returns the channel on which signals other than KILL arrive, always the same. As long as it has not been called, TERM, INT and
// the like end the process, as they end a program that does not handle them. Signals that nobody receives do not pile up.
func (m *Memory) Signals() <-chan Signal {
	m.child.mu.Lock()
	defer m.child.mu.Unlock()
	m.child.handled = true
	return m.child.signals
}

// SetRSS sets what [Process.RSS] returns from now on. No limit is watched with it.
func (m *Memory) SetRSS(bytes int64) {
	m.child.mu.Lock()
	defer m.child.mu.Unlock()
	m.child.rss, m.child.hasRSS = bytes, true
}

// lastMemoryPID counts up from above the largest pid that Linux gives.
var lastMemoryPID atomic.Int64

const firstMemoryPID = 5_000_000

// StartFunc runs f on a goroutine as if it were a child process, for tests: what is done to the Process has the effect that it would
// have on a program. It works on every system and in a testing/synctest bubble. A panic of f is not recovered. A pool's Start that uses it
// ignores what the Command says of limits, files and user.
func StartFunc(f Func, o Options) *Process { return newProcess(startMemory(f), o) }

func startMemory(f Func) started {
	c := &memoryChild{
		id:      firstMemoryPID + int(lastMemoryPID.Add(1)),
		stdin:   newMemPipe(),
		stdout:  newMemPipe(),
		stderr:  newMemPipe(),
		signals: make(chan Signal, memorySignals),
		killed:  make(chan struct{}),
		dead:    make(chan struct{}),
	}
	m := &Memory{
		PID:    c.id,
		Stdin:  memReader{c.stdin},
		Stdout: memWriter{c.stdout},
		Stderr: memWriter{c.stderr},
		Killed: c.killed,
		child:  c,
	}
	// Ends when f returns.
	go c.run(f, m)
	return started{
		child:  c,
		stream: memStream{in: c.stdin, out: c.stdout},
		stdin:  memWriter{c.stdin},
		stdout: c.stdout,
		stderr: c.stderr,
	}
}

// memorySignals is how many signals wait to be received. Further ones are dropped, as a signal that is already pending is.
const memorySignals = 8

// memoryChild is the child of an in-memory process.
type memoryChild struct {
	id                    int
	stdin, stdout, stderr *memPipe
	signals               chan Signal
	killed, dead          chan struct{}

	mu      sync.Mutex
	handled bool // signals go to the channel
	over    bool // dead; status is set
	reaped  bool
	status  status
	rss     int64
	hasRSS  bool // rss was set
}

// exitGoexit is the exit code of a Func that ended its goroutine without returning, as a failing test does.
const exitGoexit = 2

func (c *memoryChild) run(f Func, m *Memory) {
	code := exitGoexit
	defer func() { c.die(status{code: code}) }()
	code = f(m)
}

// die makes the process dead, once.
func (c *memoryChild) die(s status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dieLocked(s)
}

func (c *memoryChild) dieLocked(s status) {
	if c.over {
		return
	}
	c.over, c.status = true, s
	if s.signal != 0 {
		close(c.killed)
	}
	_ = c.stdin.Close()
	c.stdout.closeWrite()
	c.stderr.closeWrite()
	close(c.dead)
}

func (c *memoryChild) pid() int { return c.id }

func (c *memoryChild) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

func (c *memoryChild) wait() { <-c.dead }

func (c *memoryChild) reap() status {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reaped = true
	return c.status
}

func (c *memoryChild) signal(signals ...Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return ErrExited
	}
	for _, s := range signals {
		switch {
		case s == KILL:
			c.dieLocked(status{code: noCode, signal: KILL})
		case s == signalCont:
		case !c.handled:
			c.dieLocked(status{code: noCode, signal: s})
		default:
			select {
			case c.signals <- s:
			default:
			}
		}
	}
	return nil
}

// aftermath finds nothing: what a Func starts is the Func's own.
func (c *memoryChild) aftermath() func() []Stray {
	return func() []Stray { return nil }
}

func (c *memoryChild) closeStdin() { c.stdin.closeWrite() }

func (c *memoryChild) release() error { return nil }

func (c *memoryChild) resident() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.reaped:
		return 0, ErrExited
	case !c.hasRSS:
		return 0, fmt.Errorf("resident memory of an in-memory process: %w", errors.ErrUnsupported)
	default:
		return c.rss, nil
	}
}
