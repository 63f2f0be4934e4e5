package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// AnyInFlight as Options.InFlight leaves the number to the host.
const AnyInFlight = -1

// Options are for a Worker. The zero value works: one call at a time, limits that fit the host's defaults, no log.
type Options struct {
	// InFlight is how many calls the worker takes at a time; their handlers run at the same time, but for those that have been found to take no
	// longer than it takes to have them do so. If zero, 1. If negative, as many as the host offers.
	InFlight int

	// MaxMessage bounds the bytes of one call's arguments that the worker takes. If zero, 16 MiB; the least is 1 KiB. What the host takes
	// as an answer is the host's option.
	MaxMessage int

	// ExitGrace is how long handlers, and Start, may go on after the end of input or the signal to terminate, so that they can clean up.
	// Their contexts have ended then. If zero, 1 s. If negative, nobody is waited for.
	ExitGrace time.Duration

	// Log receives the life of the connection. Failed calls are the host's to log. If nil, nothing is logged.
	Log *slog.Logger

	// Start loads what the handlers need. It runs once the host has accepted the worker and before the first call; meanwhile the host is told
	// that the worker is still starting, so loading may take longer than the host's patience for a silent worker. An error means that
	// the worker cannot start: the host is told, and does not try again at once. ctx ends when the worker is to end before it is loaded.
	// If nil, the worker is ready at once.
	Start func(ctx context.Context) error
}

const (
	defaultExitGrace = time.Second

	maxInFlight     = 1 << 16
	minMessage      = 1 << 10
	maxMessage      = 1<<31 - 1
	usualFrame      = 256 << 10 // a lower limit for messages lowers the one for frames too
	maxMethodName   = 255       // bytes
	maxAnnounced    = 1024      // methods; with more, or longer names than fit a hello, none is announced
	maxAnnouncement = 32 << 10  // bytes of their names
)

// resolve replaces zero by defaults, and what makes no sense too, which it reports.
func (o Options) resolve() (Options, error) {
	var problems []error
	if o.InFlight > maxInFlight {
		problems = append(problems, fmt.Errorf("InFlight: %d is more than %d; lower it", o.InFlight, maxInFlight))
		o.InFlight = 0
	}
	if o.MaxMessage != 0 && (o.MaxMessage < minMessage || o.MaxMessage > maxMessage) {
		problems = append(problems, fmt.Errorf("MaxMessage: %d is not between %d and %d; use 0 for the default", o.MaxMessage, minMessage, maxMessage))
		o.MaxMessage = 0
	}
	switch {
	case o.InFlight == 0:
		o.InFlight = 1
	case o.InFlight < 0:
		o.InFlight = AnyInFlight
	}
	switch {
	case o.ExitGrace == 0:
		o.ExitGrace = defaultExitGrace
	case o.ExitGrace < 0:
		o.ExitGrace = 0
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(problems...)
}
