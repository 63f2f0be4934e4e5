package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// Options says how a [Monitor] looks after its programs. The zero Options is useful.
type Options struct {
	// Policy holds for all programs whose ProgramOptions say nothing else.
	Policy

	// DrainTimeout bounds how long the output of a dead program is read while somebody else holds it open: a grandchild that has left the
	// process group. The program is not started again before. If zero, it is 2 s; if negative, nothing is waited for.
	DrainTimeout time.Duration

	// StopTimeout bounds how long Run waits for the programs to end. If zero, it is 2 s more than the longest KillTime and DrainTimeout
	// take together.
	StopTimeout time.Duration

	// MaxLine is how many bytes of a line are kept. If zero, it is 8 KiB.
	MaxLine int

	// EventBuffer is how many lines, and how many other events, wait for a receiver that is slow: of each program for OnEvent, of all together
	// for each caller of Events. If zero, it is 256.
	EventBuffer int

	// OnEvent, if not nil, is called for each event. It is called for one event of a program at a time, in order, but for several programs at
	// once. While it is slow, the output of that program waits; its exit, its restarts and its stop do not. It may call the
	// monitor, but not wait there for its own program to end: Remove and Stop wait for OnEvent.
	OnEvent func(Event)

	// Log receives all events but lines, with the keys program, gen and pid: failed starts at level Warn, giving up at Error, the rest at Info.
	// It also receives the lines that programs write to standard error, as process.Options says. If nil, nothing is logged. Its
	// handler must not block for long: programs wait for it.
	Log *slog.Logger

	// Start starts a program. If nil, it is process.StartManaged. Tests put in-memory programs here, with process.ManageFunc.
	Start func(process.Command, process.ManagedOptions) (*process.Managed, error)
}

// Policy says when a program is started again, and how it is ended. Fields that are zero have their defaults.
type Policy struct {
	// Threshold is how long a program has to live for its restart to be immediate. One that dies earlier waits for it. If zero, it is 1 s.
	Threshold time.Duration

	// MinDelay and MaxDelay are the first and the longest wait before a restart; each wait in a row is twice as long as the one before. If
	// zero, they are 1 s and 1 h.
	MinDelay, MaxDelay time.Duration

	// Jitter is the part of a delay by which it is drawn longer or shorter, from 0 to 1.
	Jitter float64

	// KillTime is how long a program that is to end has after TERM, before it gets KILL. If zero, it is 5 s; if negative, it has no time.
	KillTime time.Duration

	// MaxAttempts is how many times in a row a program may die early or fail to start before it is given up. If zero or negative, it
	// never is.
	MaxAttempts int
}

// ProgramOptions says how one program is looked after. The zero ProgramOptions is useful.
type ProgramOptions struct {
	// Policy goes before that of the monitor, field by field.
	Policy

	// StopOnSuccess leaves the program stopped once it has exited with code 0 of its own accord. Without it, that is restarted like a crash.
	StopOnSuccess bool

	// ReadyLine, ReadyFile and ReadyProbe tell when the program is ready; at most one may be set. A program that dies before it is ready has
	// died early, however long it took.
	//
	// ReadyLine is matched against the lines that the program writes to either stream.
	ReadyLine *regexp.Regexp
	// ReadyFile is a file that the program makes, or writes anew; what is there before the start does not count. A relative path is relative
	// to the command's Dir. It is looked for ten times a second.
	ReadyFile string
	// ReadyProbe is called ten times a second, on a goroutine of its own, until it returns nil. Its context ends when that is no longer of
	// interest; it must return then, because neither the next probe nor Stop is done before.
	ReadyProbe func(ctx context.Context) error

	// ReadyTimeout ends a program that is not ready by then; so it has died early. If zero, it is 1 min; if negative, there is none.
	ReadyTimeout time.Duration

	// Unguarded leaves a program that heeds neither TERM nor the end of its standard input behind when this program is killed. Otherwise a guardian
	// kills its process group then, as process.Options.Guard says.
	Unguarded bool

	// SpareStrays leaves alone what the program has started as a daemon. Otherwise that is looked for when the program has ended, and
	// killed, as process.Options.SpareStrays says.
	SpareStrays bool
}

// The defaults of L4.1, and those of what L4 does not have.
const (
	defaultThreshold    = time.Second
	defaultKillTime     = 5 * time.Second
	defaultMinDelay     = time.Second
	defaultMaxDelay     = 3600 * time.Second
	defaultDrainTimeout = 2 * time.Second
	defaultReadyTimeout = time.Minute
	defaultEventBuffer  = 256

	// stopMargin is what Run gives the system to end what has been killed.
	stopMargin = 2 * time.Second
)

// defaultPolicy is what a monitor's Policy goes before.
func defaultPolicy() Policy {
	return Policy{Threshold: defaultThreshold, KillTime: defaultKillTime, MinDelay: defaultMinDelay, MaxDelay: defaultMaxDelay}
}

// over returns p, with the fields of base where p has none. A MaxDelay or MinDelay that is not given gives way to one that is.
func (p Policy) over(base Policy) Policy {
	switch {
	case p.MaxDelay == 0 && p.MinDelay > base.MaxDelay:
		p.MaxDelay = p.MinDelay
	case p.MinDelay == 0 && p.MaxDelay > 0 && p.MaxDelay < base.MinDelay:
		p.MinDelay = p.MaxDelay
	}
	return Policy{
		Threshold:   cmp.Or(p.Threshold, base.Threshold),
		MinDelay:    cmp.Or(p.MinDelay, base.MinDelay),
		MaxDelay:    cmp.Or(p.MaxDelay, base.MaxDelay),
		Jitter:      cmp.Or(p.Jitter, base.Jitter),
		KillTime:    cmp.Or(p.KillTime, base.KillTime),
		MaxAttempts: cmp.Or(p.MaxAttempts, base.MaxAttempts),
	}
}

// resolve returns the options with defaults filled in, or all that is wrong with them.
func (o Options) resolve() (Options, error) {
	c := checker{of: "monitor"}
	o.Policy.check(&c)
	c.wrong(o.StopTimeout < 0, "StopTimeout: %v is negative; use 0 for what the programs need", o.StopTimeout)
	c.wrong(o.MaxLine < 0, "MaxLine: %d is negative; use 0 for 8 KiB", o.MaxLine)
	c.wrong(o.EventBuffer < 0, "EventBuffer: %d is negative; use 0 for %d", o.EventBuffer, defaultEventBuffer)

	o.Policy = o.Policy.over(defaultPolicy())
	o.DrainTimeout = cmp.Or(o.DrainTimeout, defaultDrainTimeout)
	o.EventBuffer = cmp.Or(o.EventBuffer, defaultEventBuffer)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Start == nil {
		o.Start = process.StartManaged
	}
	return o, errors.Join(c.problems...)
}

// resolve returns the options of a program with the monitor's filled in, or all that is wrong with them and the command.
func (o ProgramOptions) resolve(name string, c process.Command, base Policy) (ProgramOptions, error) {
	check := checker{of: "monitor: program " + name}
	check.wrong(name == "", "the name is empty; events would not say whose they are")
	check.wrong(c.Path == "" && c.Self == "", "Command: Path is empty; set it to the program")
	check.wrong(c.Path != "" && c.Self != "", "Command: Path %q and Self %q exclude each other; remove one", c.Path, c.Self)
	o.Policy.check(&check)
	check.wrong(o.waysToBeReady() > 1, "ReadyLine, ReadyFile and ReadyProbe exclude each other; keep one")
	check.wrong(o.waysToBeReady() == 0 && o.ReadyTimeout != 0, "ReadyTimeout: %v has no effect without ReadyLine, ReadyFile or ReadyProbe; set one", o.ReadyTimeout)

	o.Policy = o.Policy.over(base)
	o.ReadyTimeout = cmp.Or(o.ReadyTimeout, defaultReadyTimeout)
	return o, errors.Join(check.problems...)
}

func (o *ProgramOptions) waysToBeReady() (n int) {
	for _, is := range []bool{o.ReadyLine != nil, o.ReadyFile != "", o.ReadyProbe != nil} {
		if is {
			n++
		}
	}
	return n
}

func (p *Policy) check(c *checker) {
	c.wrong(p.Threshold < 0, "Threshold: %v is negative; use 0 for the default", p.Threshold)
	c.wrong(p.MinDelay < 0, "MinDelay: %v is negative; use 0 for the default", p.MinDelay)
	c.wrong(p.MaxDelay < 0, "MaxDelay: %v is negative; use 0 for the default", p.MaxDelay)
	c.wrong(p.MaxDelay > 0 && p.MinDelay > p.MaxDelay, "MinDelay: %v is more than MaxDelay, which is %v; swap them", p.MinDelay, p.MaxDelay)
	c.wrong(!(p.Jitter >= 0 && p.Jitter <= 1), "Jitter: %v is not between 0 and 1", p.Jitter)
}

// checker collects problems, each with its remedy.
type checker struct {
	of       string // what the problems are those of
	problems []error
}

func (c *checker) wrong(is bool, format string, args ...any) {
	if is {
		c.problems = append(c.problems, fmt.Errorf(c.of+": "+format, args...))
	}
}
