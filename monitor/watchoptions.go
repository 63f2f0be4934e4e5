package monitor

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// WatchOptions says how a program is watched. The zero WatchOptions waits for its end and drops its output.
type WatchOptions struct {
	// Options are those of the process. Log also receives failures that are not the result, as they came after the first. DrainTimeout
	// bounds the reading of both outputs after the exit. Guard is on, unless Unguarded is set.
	process.Options

	// Unguarded leaves a program that heeds neither TERM nor the end of its standard input behind when this program is killed. Otherwise a
	// guardian kills its process group then, as process.Options.Guard says.
	Unguarded bool

	// Line is the notification handler for the lines that the program writes to its standard output. It is called for one line at a time, in
	// their order, on goroutines of the Watcher; w is what Watch or StartWatch watches with. An error costs the process its life, and is the
	// result. ctx is canceled when that of the watch ends, or NotificationTimeout is over. If nil, lines are dropped.
	Line func(ctx context.Context, w *Watcher, line Line) error

	// Stderr makes the lines of the standard error notifications as well, in the order in which they are read. They still go to Log and to
	// the report.
	Stderr bool

	// AllLines has all lines handled after any exit. Otherwise those that wait when the process has ended with an unclean one are dropped.
	AllLines bool

	// MaxLine is how many bytes of a line are kept; a longer one is cut and marked. If zero, it is 8 KiB.
	MaxLine int

	// MaxQueue is how many lines may wait to be handled. While so many wait nothing is read, so that a program that writes faster than its
	// lines are handled is held up by its pipe. If zero, it is 256.
	MaxQueue int

	// NotificationTimeout is how long a notification may take. One that takes longer has failed with ErrNotificationTimeout, and is not
	// waited for. If zero, it is 1 min.
	NotificationTimeout time.Duration

	// Inactivity is how long the process may live without a sign of life, from its start and again from each [Watcher.Reset]. If it is over,
	// the watch has failed with ErrInactive. If zero, there is no limit.
	Inactivity time.Duration

	// Active tells whether a line is a sign of life in the moment in which it is read, before those that wait have been handled. It is called
	// for the lines that would be notifications, must not block, and may be called for both outputs at once. If nil, no line is: Line calls
	// Reset for those that are.
	Active func(line Line) bool

	// Signal is what the process is asked with to end. If zero, it is INT.
	Signal process.Signal
	// Grace is what it gets between Signal and KILL. If zero, it is 5 s. If negative, KILL follows at once.
	Grace time.Duration

	// MaxOutput is how many bytes of the standard output are collected in the result, from its beginning. If zero, none are.
	MaxOutput int

	// Stdin is what the program reads. It is read on a goroutine of its own until its end, or until the program no longer reads: then it is closed,
	// if it has a Close. If nil, standard input is empty.
	Stdin io.Reader

	// Start starts the process. If nil, it is process.StartManaged. Tests put processes in memory here.
	Start func(process.Command, process.ManagedOptions) (*process.Managed, error)
}

const (
	defaultMaxQueue            = 256
	defaultNotificationTimeout = time.Minute
)

// resolve returns the options with defaults filled in, or all that is wrong with them and the command.
func (o WatchOptions) resolve(c process.Command) (WatchOptions, error) {
	check := checker{of: "watch " + strconv.Quote(nameOf(c))}
	check.wrong(c.Path == "" && c.Self == "", "Command: Path is empty; set it to the program")
	check.wrong(c.Path != "" && c.Self != "", "Command: Path %q and Self %q exclude each other; remove one", c.Path, c.Self)
	check.wrong(o.MaxLine < 0, "MaxLine: %d is negative; use 0 for 8 KiB", o.MaxLine)
	check.wrong(o.MaxQueue < 0, "MaxQueue: %d is negative; use 0 for %d", o.MaxQueue, defaultMaxQueue)
	check.wrong(o.NotificationTimeout < 0, "NotificationTimeout: %v is negative; use 0 for %v", o.NotificationTimeout, defaultNotificationTimeout)
	check.wrong(o.Inactivity < 0, "Inactivity: %v is negative; use 0 for no limit", o.Inactivity)
	check.wrong(o.Active != nil && o.Inactivity == 0, "Active: has no effect without Inactivity; set that too")
	check.wrong(o.Signal < 0, "Signal: %d is negative; use 0 for INT", int(o.Signal))
	check.wrong(o.MaxOutput < 0, "MaxOutput: %d is negative; use 0 to collect nothing", o.MaxOutput)

	o.Guard = !o.Unguarded
	o.MaxQueue = cmp.Or(o.MaxQueue, defaultMaxQueue)
	o.NotificationTimeout = cmp.Or(o.NotificationTimeout, defaultNotificationTimeout)
	o.Signal = cmp.Or(o.Signal, process.INT)
	o.Grace = cmp.Or(o.Grace, defaultKillTime)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Start == nil {
		o.Start = process.StartManaged
	}
	return o, errors.Join(check.problems...)
}

// nameOf is how errors call the program.
func nameOf(c process.Command) string { return cmp.Or(c.Self, c.Path) }
