package monitor

import (
	"errors"
	"os"
	"strings"

	"github.com/stdcrew/stdcrew/process"
)

var (
	// ErrTerminated says that the process was ended because the caller asked for it, by [Watcher.Terminate] or by the end of the context. A
	// crash is not ErrTerminated.
	ErrTerminated = errors.New("terminated on request")

	// ErrInactive says that the process was ended because nothing reset WatchOptions.Inactivity in time. It is a timeout too: errors.Is finds
	// os.ErrDeadlineExceeded, and its method Timeout returns true.
	ErrInactive error = timeoutError("no sign of life in time")

	// ErrNotificationTimeout says that a notification did not return within WatchOptions.NotificationTimeout. It is a timeout as ErrInactive
	// is.
	ErrNotificationTimeout error = timeoutError("notification did not return in time")

	// ErrQueueFull says that too many notifications wait that are no lines.
	ErrQueueFull = errors.New("too many notifications wait")

	// ErrOver says that a notification came too late to be handled.
	ErrOver = errors.New("the watch is over")

	errGoexit = errors.New("it ended its goroutine")
)

type timeoutError string

func (e timeoutError) Error() string { return string(e) }

// Timeout marks the error as a timeout for who looks for this method.
func (timeoutError) Timeout() bool { return true }

func (timeoutError) Unwrap() error { return os.ErrDeadlineExceeded }

// ExitError says that the process did not exit with code 0, and that nothing had gone wrong before. errors.Is finds ErrTerminated if
// Watcher.Terminate was called before.
type ExitError struct {
	Report process.Report
}

func (e *ExitError) Error() string {
	text := e.Report.String()
	if tail := brief(e.Report.StderrTail); tail != "" {
		text += "; stderr: " + tail
	}
	return text
}

// Is tells whether target is ErrTerminated and the process was ended on request.
func (e *ExitError) Is(target error) bool {
	return target == ErrTerminated && e.Report.Killer == process.KillerAsked
}

// maxTailText bounds how much of the standard error goes into an error's text. All that was kept is in the report.
const maxTailText = 512

// brief returns the end of text on one line.
func brief(text string) string {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "?"))
	if cut := len(text) - maxTailText; cut > 0 {
		text = "…" + strings.ToValidUTF8(text[cut:], "")
	}
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " | ")
}
