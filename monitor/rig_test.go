package monitor

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// script is an in-memory program.
type script func(c process.Command, m *process.Memory) int

// rig is a monitor of in-memory programs, with what has been told to OnEvent.
type rig struct {
	*Monitor
	t     *testing.T
	began time.Time

	mu      sync.Mutex
	scripts map[string]script // by the command's path
	events  []Event
	last    map[string]*process.Managed // of each path
}

// newRig makes a rig in the present bubble. It is stopped at the end of the bubble by whoever calls over.
func newRig(t *testing.T, o Options) *rig {
	r := &rig{t: t, began: time.Now(), scripts: make(map[string]script), last: make(map[string]*process.Managed)}
	o.Start = r.start
	told := o.OnEvent
	o.OnEvent = func(e Event) {
		r.mu.Lock()
		r.events = append(r.events, e)
		r.mu.Unlock()
		if told != nil {
			told(e)
		}
	}
	m, err := New(o)
	require.NoError(t, err)
	r.Monitor = m
	return r
}

// inBubble runs a test of a rig with the programs given.
func inBubble(t *testing.T, o Options, scripts map[string]script, test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, o)
		for name, s := range scripts {
			r.scripts[name] = s
			require.NoError(t, r.Add(name, process.Command{Path: name}, ProgramOptions{}))
		}
		defer r.over()
		test(t, r)
	})
}

// over stops the monitor, and sees that nothing is left.
func (r *rig) over() {
	require.NoError(r.t, r.Stop(r.t.Context()))
	time.Sleep(time.Minute) // scripts of killed programs return
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for path := range r.last {
		require.False(r.t, r.isAlive(path), path)
	}
	require.Empty(r.t, r.lives)
}

func (r *rig) start(c process.Command, o process.ManagedOptions) (*process.Managed, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.scripts[c.Path]
	if s == nil {
		return nil, &process.StartError{Path: c.Path, Err: fs.ErrNotExist}
	}
	if r.isAlive(c.Path) {
		r.t.Errorf("%s is started beside itself", c.Path)
	}
	p := process.ManageFunc(func(m *process.Memory) int { return s(c, m) }, o)
	r.last[c.Path] = p
	return p, nil
}

// isAlive tells whether the last process of the path has not ended. mu is held.
func (r *rig) isAlive(path string) bool {
	p := r.last[path]
	if p == nil {
		return false
	}
	select {
	case <-p.Ended():
		return false
	default:
		return true
	}
}

// what returns what has happened to a program, lines aside.
func (r *rig) what(name string) []What {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []What
	for _, e := range r.events {
		if _, isLine := e.What.(Line); e.Program == name && !isLine {
			all = append(all, e.What)
		}
	}
	return all
}

// lines returns the lines of a program, and no other events.
func (r *rig) lines(name string) []Line {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Line
	for _, e := range r.events {
		if line, isLine := e.What.(Line); e.Program == name && isLine {
			all = append(all, line)
		}
	}
	return all
}

// times returns when events of type W of a program have happened, from the beginning of the bubble.
func times[W What](r *rig, name string) []time.Duration {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []time.Duration
	for _, e := range r.events {
		if _, is := e.What.(W); e.Program == name && is {
			all = append(all, e.Time.Sub(r.began))
		}
	}
	return all
}

// gaps returns the differences of consecutive times.
func gaps(times []time.Duration) []time.Duration {
	var all []time.Duration
	for i := range len(times) - 1 {
		all = append(all, times[i+1]-times[i])
	}
	return all
}

func (r *rig) status(name string) Status {
	synctest.Wait()
	for _, s := range r.Snapshot() {
		if s.Name == name {
			return s
		}
	}
	r.t.Fatalf("no program %q", name)
	return Status{}
}

func (r *rig) state(name string) State { return r.status(name).State }

// exits ends after d with a code, or by the first signal.
func exits(after time.Duration, code int) script {
	return func(_ process.Command, m *process.Memory) int {
		select {
		case <-time.After(after):
		case <-m.Killed:
		}
		return code
	}
}

// exitsAtOnce ends with code 1.
func exitsAtOnce(process.Command, *process.Memory) int { return 1 }

// heedsTerm runs until TERM, then exits with code 0.
func heedsTerm(_ process.Command, m *process.Memory) int {
	select {
	case <-m.Signals():
	case <-m.Killed:
	}
	return 0
}

// ignoresTerm runs until KILL.
func ignoresTerm(_ process.Command, m *process.Memory) int {
	for {
		select {
		case <-m.Signals():
		case <-m.Killed:
			return 0
		}
	}
}

// soon is a context that ends after d with a cause of its own.
func soon(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.Background(), d, errSoon)
}

var errSoon = errors.New("soon is over")
