package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"runtime"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// Options says what a pool runs and how. Only Command is needed.
//
// A timeout that is negative never ends. A grace that is negative does not wait.
type Options struct {
	// Name is the pool's name in logs and errors. Letters a to z, digits, _ and -. If empty, it is "workers".
	Name string

	// Command is the program that each worker runs, as which user, with which further files and within which limits. A worker over
	// Command.Limits.Memory is killed, its calls fail with an error that says so (KillerMemory), and it is replaced as one that died. The
	// resource limits are in place before any call reaches the worker. Start may ignore all of that.
	Command process.Command

	// Dialect is the language of the workers. If nil, it is the one of package rpc, which docs/protocol.md describes.
	Dialect Dialect

	// Min is how many workers are kept even when there is nothing to do. They start in the background with the pool.
	Min int
	// Max bounds the processes of the pool. If zero, it is GOMAXPROCS, or Min if that is more.
	Max int
	// Surge is how many processes there may be beyond Max while workers are replaced: the successor is ready before a worker retires. If zero,
	// it is 1. If negative, there are none, but for the one that Reload tries: where Max processes run already, a worker goes before its successor
	// comes.
	Surge int
	// InFlight bounds the calls that one worker gets at a time. If zero, it is what the worker declares.
	InFlight int
	// Queue bounds the callers that wait for a worker. If zero, it is 1024. If negative, nobody waits: a call that finds no free worker
	// fails, and the pool starts one for those to come.
	Queue int
	// MaxMessage bounds the bytes of one message from a worker. If zero, it is the dialect's default. What a worker takes it says itself.
	MaxMessage int

	// StartTimeout bounds the time from the launch of a process until its handshake and the start hook are done. If zero, it is 10 s. A
	// worker that says that it is still loading gets the full time again, up to ten times as much in all. Three starts in a row
	// have to fail before calls fail for that without a timeout of their own: a program that is silent, since it is no worker, takes as long.
	StartTimeout time.Duration
	// QueueTimeout bounds a caller's wait for a worker. If zero, nothing but the caller's context does.
	QueueTimeout time.Duration
	// CallTimeout bounds one call from the moment that it has a worker. The worker is told. If zero, nothing but the caller's context does.
	CallTimeout time.Duration
	// IdleTimeout is how long a worker beyond Min may be without a call before it is stopped. If zero, it is 60 s.
	IdleTimeout time.Duration
	// CancelGrace is how long a worker may take to end a call that was canceled, by its caller or by CallTimeout. Then the worker is stopped: at
	// once if it has no other calls, otherwise when they have ended or RetireGrace is over. If zero, it is 5 s.
	CancelGrace time.Duration
	// WriteStall is how long a worker may leave what is being written to it unread. Then it is stopped. If zero, it is 10 s.
	WriteStall time.Duration
	// FrameStall is how long a worker may stop in the middle of a frame. Then it is stopped. If zero, it is 10 s.
	FrameStall time.Duration
	// Heartbeat is how long a worker with calls in flight may be silent before it is asked for a sign of life; after two more such times without
	// one it is killed. It concerns workers that have announced to answer while they are busy, as those of package worker do; what they compute may
	// take as long as it likes. If zero, it is 15 s. If negative, silence says nothing.
	Heartbeat time.Duration

	// MaxCalls is how many calls a worker answers, MaxAge how old it gets after its launch, and MaxRSS how many bytes of memory it and its process
	// group have resident, before a fresh one takes its place. Each is drawn for each worker up to a tenth more or less, so that workers that
	// began together do not end together. If zero, there is no such limit.
	//
	// The limits are soft: a worker over one of them serves until its successor is ready, and retires then. Memory is looked at every second,
	// where the system tells. For a hard limit of memory there is Command.Limits.
	MaxCalls int
	MaxAge   time.Duration
	MaxRSS   int64

	// RetireGrace is how long calls may go on, on a worker that takes no further ones, before it is stopped. If zero, it is 30 s.
	RetireGrace time.Duration

	// StopGrace is what a worker gets to finish after it has been asked. If zero, it is 5 s.
	StopGrace time.Duration
	// CloseGrace is what it gets after its standard input has been closed. If zero, it is 2 s.
	CloseGrace time.Duration
	// KillGrace is what it gets between TERM and KILL. If zero, it is 5 s.
	KillGrace time.Duration
	// DrainTimeout bounds the reading of a dead worker's standard error while somebody else holds it open. If zero, it is 2 s. If
	// negative, nothing is waited for.
	DrainTimeout time.Duration

	// Guard has the workers' process groups killed when this program dies, whatever they do then: see process.Options. It is for programs without
	// the SDK, which ends its worker by itself.
	Guard bool
	// SpareStrays leaves alone what a worker has started and what has left its process group, as daemons do. Otherwise it is looked for when
	// the worker has exited, and killed: see process.Options.
	SpareStrays bool

	// Restart is the delay before a worker is replaced that failed to start, or died without having been of use.
	Restart Restart

	// StartHook is called when the handshake with a new process is done, before any call gets to it, within StartTimeout. The calls that it
	// makes take places on the worker like all others. If it fails, the start has failed. It must return when ctx ends, and may be called for
	// several workers at once.
	StartHook func(ctx context.Context, c Conn) error
	// ExitHook is called when a worker that had been ready is gone, unless the user asked for that with Stop, Shutdown or Close. It may
	// be called for several workers at once; none of them holds up the pool, but Close waits for them.
	ExitHook func(Exit)

	// EventBuffer is how many events a subscriber of Pool.Events may be behind before it misses the oldest. If zero, it is 256. An
	// event that tells of a process's end may hold the 64 KiB of its standard error.
	EventBuffer int

	// Log receives what happens to workers, and their standard error. If nil, nothing is logged.
	Log *slog.Logger

	// Start launches a process. If nil, it is process.Start. Tests put processes in memory here: a worker launched by anything but
	// process.Start is not told that its process group is its own, so that it does not kill the group when it ends.
	Start func(process.Command, process.Options) (*process.Process, error)

	random     func() float64 // for the back-off's jitter; nil: math/rand's
	onInternal func(text string)
}

// Restart is a range of delays: the first is Min, each further one twice as long, up to Max, all give or take a tenth.
type Restart struct {
	Min time.Duration // if zero, 1 s, or Max if that is less
	Max time.Duration // if zero, 1 min, or Min if that is more
}

const (
	defaultName         = "workers"
	defaultSurge        = 1
	defaultQueue        = 1024
	defaultStartTimeout = 10 * time.Second
	defaultIdleTimeout  = 60 * time.Second
	defaultCancelGrace  = 5 * time.Second
	defaultWriteStall   = 10 * time.Second
	defaultFrameStall   = 10 * time.Second
	defaultHeartbeat    = 15 * time.Second
	defaultRetireGrace  = 30 * time.Second
	defaultStopGrace    = 5 * time.Second
	defaultCloseGrace   = 2 * time.Second
	defaultKillGrace    = 5 * time.Second
	defaultDrainTimeout = 2 * time.Second
	defaultEventBuffer  = 256
	defaultRestartMin   = time.Second
	defaultRestartMax   = time.Minute

	// What the protocol allows for max_message.
	minMessage = 1 << 10
	maxMessage = 1<<31 - 1
)

var validName = regexp.MustCompile(`^[a-z0-9_-]+$`)

// resolve returns the options with defaults filled in, timeouts that never end negative, and graces not negative; or all that is wrong.
func (o Options) resolve() (Options, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return o, err
	}
	for _, grace := range []*time.Duration{&o.CancelGrace, &o.RetireGrace, &o.StopGrace, &o.CloseGrace, &o.KillGrace, &o.DrainTimeout} {
		*grace = max(*grace, 0)
	}
	o.Surge = max(o.Surge, 0)
	return o, nil
}

func (o *Options) setDefaults() {
	setIfZero(&o.Name, defaultName)
	setIfZero(&o.Max, max(runtime.GOMAXPROCS(0), o.Min))
	setIfZero(&o.Surge, defaultSurge)
	setIfZero(&o.Queue, defaultQueue)
	setIfZero(&o.StartTimeout, defaultStartTimeout)
	setIfZero(&o.QueueTimeout, -1)
	setIfZero(&o.CallTimeout, -1)
	setIfZero(&o.IdleTimeout, defaultIdleTimeout)
	setIfZero(&o.CancelGrace, defaultCancelGrace)
	setIfZero(&o.WriteStall, defaultWriteStall)
	setIfZero(&o.FrameStall, defaultFrameStall)
	setIfZero(&o.Heartbeat, defaultHeartbeat)
	setIfZero(&o.RetireGrace, defaultRetireGrace)
	setIfZero(&o.StopGrace, defaultStopGrace)
	setIfZero(&o.CloseGrace, defaultCloseGrace)
	setIfZero(&o.KillGrace, defaultKillGrace)
	setIfZero(&o.DrainTimeout, defaultDrainTimeout)
	setIfZero(&o.EventBuffer, defaultEventBuffer)
	o.Restart.setDefaults()
	if o.Dialect == nil {
		o.Dialect = &native{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.random == nil {
		o.random = rand.Float64
	}
}

func (r *Restart) setDefaults() {
	first, last := defaultRestartMin, defaultRestartMax
	if r.Max > 0 {
		first = min(first, r.Max)
	}
	setIfZero(&r.Min, first)
	setIfZero(&r.Max, max(last, r.Min))
}

func setIfZero[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check returns everything that is wrong with the options, each with its remedy.
func (o *Options) check() error {
	var problems []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			problems = append(problems, fmt.Errorf("pool "+o.Name+": "+format, args...))
		}
	}
	wrong(!validName.MatchString(o.Name), "Name: %q must consist of a-z, 0-9, _ and -", o.Name)
	wrong(o.Command.Path == "" && o.Command.Self == "" && o.Start == nil, "Command: Path is empty; set it to the worker program")
	wrong(o.Command.Path != "" && o.Command.Self != "", "Command: Path %q and Self %q exclude each other; remove one", o.Command.Path, o.Command.Self)
	wrong(o.Min < 0, "Min: %d is negative; use 0 to keep no worker", o.Min)
	wrong(o.Max < 0, "Max: %d is negative; use 0 for GOMAXPROCS", o.Max)
	wrong(o.Max > 0 && o.Min > o.Max, "Min: %d is more than Max, which is %d; lower one or raise the other", o.Min, o.Max)
	wrong(o.InFlight < 0, "InFlight: %d is negative; use 0 for what the worker declares", o.InFlight)
	wrong(o.InFlight > maxInFlight, "InFlight: %d is more than %d; lower it", o.InFlight, maxInFlight)
	wrong(o.Queue < 0 && o.QueueTimeout > 0, "QueueTimeout: %v has no effect, because with Queue %d nobody waits; remove one", o.QueueTimeout, o.Queue)
	wrong(o.MaxMessage != 0 && (o.MaxMessage < minMessage || o.MaxMessage > maxMessage), "MaxMessage: %d is not between %d and %d; use 0 for the default", o.MaxMessage, minMessage, maxMessage)
	wrong(o.MaxCalls < 0, "MaxCalls: %d is negative; use 0 for no limit", o.MaxCalls)
	wrong(o.MaxAge < 0, "MaxAge: %v is negative; use 0 for no limit", o.MaxAge)
	wrong(o.MaxRSS < 0, "MaxRSS: %d is negative; use 0 for no limit", o.MaxRSS)
	wrong(o.EventBuffer < 0, "EventBuffer: %d is negative; use 0 for %d", o.EventBuffer, defaultEventBuffer)
	wrong(o.Restart.Min < 0, "Restart.Min: %v is negative; use 0 for %v", o.Restart.Min, defaultRestartMin)
	wrong(o.Restart.Max < 0, "Restart.Max: %v is negative; use 0 for %v", o.Restart.Max, defaultRestartMax)
	wrong(o.Restart.Max > 0 && o.Restart.Min > o.Restart.Max, "Restart.Min: %v is more than Restart.Max, which is %v; swap them", o.Restart.Min, o.Restart.Max)
	return errors.Join(problems...)
}
