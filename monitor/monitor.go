package monitor

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// Monitor keeps programs running. Its methods may be used by several goroutines at once. Make one with [New].
type Monitor struct {
	opts Options
	hub  hub

	mu       sync.Mutex
	running  bool
	programs map[string]*program
	lives    map[string]*life // the last life of each name until it is done, also of programs that have been removed
}

// program is an entry of the monitor's table.
type program struct {
	name    string
	command process.Command
	opts    ProgramOptions
	wake    chan struct{} // an order has come

	// Guarded by Monitor.mu.
	wanted  bool // it is to run
	restart bool // it is to be ended, or its wait cut short, and started again
	living  bool // there is a life that obeys
	status  Status
}

// New returns a monitor without programs, which does not run yet. It starts nothing. Its error lists all that is wrong with the options.
func New(o Options) (*Monitor, error) {
	o, err := o.resolve()
	if err != nil {
		return nil, err
	}
	return &Monitor{opts: o, programs: make(map[string]*program), lives: make(map[string]*life)}, nil
}

// Add adds a program, and starts it in the background if the monitor runs. No shell is involved. If the name is taken, the error is a
// *NameError with ErrDuplicate; otherwise it lists all that is wrong with the command and the options. A program that cannot be started
// is not an error here but an event, and is tried again. What the command and the options point to must not be changed afterwards.
func (m *Monitor) Add(name string, c process.Command, o ProgramOptions) error {
	o, err := o.resolve(name, c, m.opts.Policy)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.programs[name] != nil {
		return &NameError{Name: name, Err: ErrDuplicate}
	}
	p := &program{name: name, command: c, opts: o, wake: make(chan struct{}, 1), status: Status{Name: name}}
	m.programs[name] = p
	if m.running {
		m.animate(p)
	}
	return nil
}

// Remove stops a program and forgets it. It waits until the program has ended and its events have been told. When ctx ends it returns a *StopError,
// and the program is still being ended. The name is free at once: what is added under it starts when the old program has ended. If no
// program has that name, the error is a *NameError with ErrUnknown.
func (m *Monitor) Remove(ctx context.Context, name string) error {
	m.mu.Lock()
	p, l := m.programs[name], m.lives[name]
	if p != nil {
		delete(m.programs, name)
		p.want(false)
	}
	m.mu.Unlock()
	switch {
	case p == nil:
		return &NameError{Name: name, Err: ErrUnknown}
	case l == nil:
		return nil
	}
	return m.await(ctx, []*life{l})
}

// Restart ends a program, with KILL if TERM does not help within KillTime, and starts it again at once when it has ended. One that waits for its
// restart, has been given up or has finished is started at once. It does not wait for any of that. While a program is being ended, further
// calls do not put its KILL off. If the monitor does not run, nothing happens. If no program has that name, the error is a *NameError with
// ErrUnknown.
func (m *Monitor) Restart(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.programs[name]
	if p == nil {
		return &NameError{Name: name, Err: ErrUnknown}
	}
	m.restart(p)
	return nil
}

// RestartAll does to each program what Restart does.
func (m *Monitor) RestartAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.programs {
		m.restart(p)
	}
}

// restart has p started anew. mu is held.
func (m *Monitor) restart(p *program) {
	switch {
	case !m.running:
	case p.living:
		p.restart = true
		p.alert()
	default:
		m.animate(p)
	}
}

// Start starts all programs in the background, and makes the monitor run: what is added later is started too. If it runs already, nothing
// happens.
func (m *Monitor) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running {
		return
	}
	m.running = true
	for _, p := range m.programs {
		if p.living {
			p.want(true)
		} else {
			m.animate(p)
		}
	}
}

// Stop stops all programs, calls off restarts that wait, and waits until all have ended, also those that are being removed, and their
// events have been told. When ctx ends first, it returns a *StopError that names those that are left, and they are still being ended. The
// programs stay in the monitor, and Start starts them again.
func (m *Monitor) Stop(ctx context.Context) error {
	m.mu.Lock()
	m.running = false
	for _, p := range m.programs {
		p.want(false)
	}
	var lives []*life
	for _, l := range m.lives {
		lives = append(lives, l)
	}
	m.mu.Unlock()
	return m.await(ctx, lives)
}

// Run starts all programs, keeps them running until ctx ends, and stops them. It returns nil, or the *StopError of those that have
// not ended within StopTimeout. It suits an errgroup.
func (m *Monitor) Run(ctx context.Context) error {
	m.Start()
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.stopTimeout())
	defer cancel()
	return m.Stop(stop)
}

func (m *Monitor) stopTimeout() time.Duration {
	if m.opts.StopTimeout > 0 {
		return m.opts.StopTimeout
	}
	longest := time.Duration(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.lives {
		longest = max(longest, l.p.opts.KillTime)
	}
	return longest + max(m.opts.DrainTimeout, 0) + stopMargin
}

// Snapshot returns what the programs look like now, sorted by name.
func (m *Monitor) Snapshot() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Status, 0, len(m.programs))
	for _, p := range m.programs {
		all = append(all, p.status)
	}
	return sorted(all)
}

func sorted(all []Status) []Status {
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// animate gives p a life, which begins when no process of an earlier one is left (L4.8). mu is held.
func (m *Monitor) animate(p *program) {
	p.wanted, p.restart, p.living = true, false, true
	p.enter(StateStarting)
	l := newLife(m, p, m.lives[p.name])
	m.lives[p.name] = l
	// Ends when the program is no longer wanted, has finished or is given up, and has ended.
	go l.live()
	if l.outbox != nil {
		// Ends when live has, and all events have been told.
		go l.tell()
	}
}

// await waits until the lives are done.
func (m *Monitor) await(ctx context.Context, lives []*life) error {
	for _, l := range lives {
		select {
		case <-l.done:
		case <-ctx.Done():
			return m.stillThere(lives, context.Cause(ctx))
		}
	}
	return nil
}

// stillThere returns the error that says which lives are not done, or nil if by now all are.
func (m *Monitor) stillThere(lives []*life, cause error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var left []Status
	for _, l := range lives {
		select {
		case <-l.done:
		default:
			left = append(left, l.p.status)
		}
	}
	if left == nil {
		return nil
	}
	return &StopError{Left: sorted(left), Err: cause}
}

// want says whether the program is to run. Monitor.mu is held.
func (p *program) want(it bool) {
	p.wanted = it
	p.alert()
}

// alert has the program's life look at its orders.
func (p *program) alert() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// enter changes the state. Monitor.mu is held.
func (p *program) enter(s State) {
	if p.status.State != s || p.status.Since.IsZero() {
		p.status.State, p.status.Since = s, time.Now()
	}
	if s != StateBackingOff {
		p.status.Delay = 0
	}
}
