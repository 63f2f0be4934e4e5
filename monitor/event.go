package monitor

import (
	"fmt"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// Event is something that happened to a program.
type Event struct {
	Program    string
	Generation int // how often the program has been started, this time included; 0 before the first start
	Time       time.Time
	What       What
}

// String says what happened in one line: "web: started (pid 812)".
func (e Event) String() string {
	if e.Program == "" {
		return fmt.Sprint(e.What)
	}
	return fmt.Sprintf("%s: %s", e.Program, e.What)
}

// What is what happened: one of Started, Ready, Line, Exited, BackingOff, Restarting, StartFailed, GaveUp, Stopped and Dropped. Its String
// says so in a few words.
type What interface {
	fmt.Stringer
	what()
}

// Started says that the program runs.
type Started struct {
	PID int
}

// Ready says that the program is ready. It comes only if ProgramOptions say how that is to be seen.
type Ready struct {
	After time.Duration // since its start
}

// Exited says that the program has ended: it is dead, and all that it wrote has been read. The events of its lines have come before.
type Exited struct {
	Report process.Report
}

// BackingOff says that the program died too early, and is not started again before Delay is over. That counts from its death.
type BackingOff struct {
	Delay   time.Duration
	Attempt int // how often in a row it has died too early or failed to start
}

// Restarting says that the program is about to be started, and not for the first time. Started or StartFailed follows.
type Restarting struct{}

// StartFailed says that the program could not be started. That counts as a death that was too early.
type StartFailed struct {
	Err error // usually a *process.StartError
}

// GaveUp says that the program is not started again by itself: it died too early, or failed to start, MaxAttempts times in a row.
type GaveUp struct {
	Attempts int
	Report   process.Report // of the last attempt; zero if that could not be started
	Err      error          // why it could not be started; nil if it could
}

// Stopped says that the program has been stopped for good: the monitor was stopped, the program was removed, or it exited with success and
// StopOnSuccess is set.
type Stopped struct{}

// Dropped says how many events are missing here, because the receiver was too slow. Its Event has no program if it comes from [Monitor.Events].
type Dropped struct {
	Events int
}

func (Started) what()     {}
func (Ready) what()       {}
func (Line) what()        {}
func (Exited) what()      {}
func (BackingOff) what()  {}
func (Restarting) what()  {}
func (StartFailed) what() {}
func (GaveUp) what()      {}
func (Stopped) what()     {}
func (Dropped) what()     {}

// String says it in a few words.
func (w Started) String() string { return fmt.Sprintf("started (pid %d)", w.PID) }

// String says it in a few words.
func (w Ready) String() string { return fmt.Sprintf("ready after %v", w.After.Round(time.Millisecond)) }

// String returns the stream and the text.
func (w Line) String() string { return fmt.Sprintf("%v: %s", w.Stream, w.Text) }

// String returns that of the report.
func (w Exited) String() string { return w.Report.String() }

// String says it in a few words.
func (w BackingOff) String() string {
	return fmt.Sprintf("restart in %v (attempt %d failed)", w.Delay.Round(time.Millisecond), w.Attempt)
}

// String says it in a few words.
func (Restarting) String() string { return "restarting" }

// String says it in a few words.
func (w StartFailed) String() string { return fmt.Sprintf("not started: %v", w.Err) }

// String says it in a few words.
func (w GaveUp) String() string {
	if w.Err != nil {
		return fmt.Sprintf("given up after %d attempts: %v", w.Attempts, w.Err)
	}
	return fmt.Sprintf("given up after %d attempts: %v", w.Attempts, w.Report)
}

// String says it in a few words.
func (Stopped) String() string { return "stopped" }

// String says it in a few words.
func (w Dropped) String() string { return fmt.Sprintf("%d events dropped", w.Events) }
