package process

import (
	"log/slog"
	"time"
)

// Options says how a process is looked after. The zero Options is useful.
type Options struct {
	// Log receives each line of the process's standard error at level Info, as the message "stderr" with the keys pid and line. If nil,
	// nothing is logged. A handler that blocks holds up the process once 64 KiB wait in the pipe.
	Log *slog.Logger

	// Name is added to the log lines as worker. If empty, it is left out.
	Name string

	// DrainTimeout bounds how long the standard error is read after the exit while somebody else holds it open. If zero, it is 2 s. If
	// negative, what is in the pipe is read and nothing is waited for. For a Managed it bounds all three streams.
	DrainTimeout time.Duration

	// Guard has the process's group killed when this program dies, however it dies, also by KILL. Without it the group's leader finds its standard input at
	// its end and, on Linux, receives TERM, which is enough for programs that heed either, as workers with the SDK do. The guardian is one shell
	// process (/bin/sh) for all guarded processes, there only as long as one of them is; the first Start takes a millisecond longer. Where
	// it cannot be started, the leader gets KILL in place of TERM on Linux, and what it has started stays. In-memory processes are not guarded.
	Guard bool

	// SpareStrays leaves alone what the process has started and what has left its group, as daemons do. Otherwise it is looked for after the
	// exit, and killed: it is known by a mark in its environment, the variable STDCREW_CHILD. Who removes that is not found.
	// On macOS nothing is looked for.
	SpareStrays bool

	// ExtraEnv is appended to the environment, beside an explicit Command.Env too, and replaces variables of the same name.
	ExtraEnv []string
}

const defaultDrainTimeout = 2 * time.Second

// logger returns the logger for the process with this pid, never nil.
func (o Options) logger(pid int) *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	log := o.Log.With(slog.Int("pid", pid))
	if o.Name != "" {
		log = log.With(slog.String("worker", o.Name))
	}
	return log
}
