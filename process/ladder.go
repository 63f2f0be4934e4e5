package process

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Step is what a rung of the ladder does to a process, from the kindest to the last.
type Step uint8

const (
	// Ask is the owner's own way of asking, such as a shutdown message. [Process.Do] does nothing for it.
	Ask Step = iota
	// CloseStdin closes our end of the process's standard input at once. What is already in the pipe still arrives. That of a Managed is
	// closed when what is queued has been delivered, or the rung's grace is over.
	CloseStdin
	// Terminate sends TERM to the process group, then CONT, so that a stopped process can act on it.
	Terminate
	// Kill sends KILL to the process group.
	Kill
)

// String returns the step's name.
func (s Step) String() string {
	switch s {
	case Ask:
		return "ask"
	case CloseStdin:
		return "close stdin"
	case Terminate:
		return "terminate"
	case Kill:
		return "kill"
	default:
		return "unknown step"
	}
}

// Rung is a step and how long the process has to exit before it is the next rung's turn.
type Rung struct {
	Step Step

	// Grace is the time until the next rung. If zero or negative, the next is taken at once.
	Grace time.Duration

	// Signal is what Terminate sends in place of TERM. If zero, it is TERM. The other steps ignore it.
	Signal Signal
}

// What Ladder uses for a grace of zero.
const (
	defaultStopGrace  = 5 * time.Second
	defaultCloseGrace = 2 * time.Second
	defaultKillGrace  = 5 * time.Second
)

// exitWait is how long the kernel gets to end a process after the last rung, whatever the graces are.
const exitWait = 2 * time.Second

// Ladder returns the way from asking a process to killing it: Ask, after stopGrace CloseStdin, after another closeGrace Terminate, after
// another killGrace Kill. A grace of zero is the default, which is 5 s, 2 s and 5 s; a negative one does not wait.
func Ladder(stopGrace, closeGrace, killGrace time.Duration) []Rung {
	return []Rung{
		{Step: Ask, Grace: grace(stopGrace, defaultStopGrace)},
		{Step: CloseStdin, Grace: grace(closeGrace, defaultCloseGrace)},
		{Step: Terminate, Grace: grace(killGrace, defaultKillGrace)},
		{Step: Kill},
	}
}

func grace(d, ifZero time.Duration) time.Duration {
	if d == 0 {
		return ifZero
	}
	return max(d, 0)
}

// Stop ends the process by climbing the ladder, and returns its report once it has ended. A nil ladder is Ladder(0, 0, 0). The Ask rung
// calls ask on a goroutine of its own; without ask it is skipped. ask must return when the process has exited and its Stream is closed.
//
// Stop returns after the sum of the graces, 2 s for the kernel to end what was killed, and DrainTimeout (2 s, if that is less) at the latest,
// or with the last function of a Managed. If even KILL did not end the process, which takes a kernel that cannot let go of it, the report is
// zero. When ctx ends, Stop returns what is known by then and the climb goes on. Only the first of several calls climbs; the others wait with
// it. After the process has ended, Stop returns its report at once. Stop gives KillerAsked as the reason unless Blame has given one.
func (p *Process) Stop(ctx context.Context, ladder []Rung, ask func()) Report {
	if ladder == nil {
		ladder = Ladder(0, 0, 0)
	}
	p.Blame(KillerAsked)
	select {
	case <-p.climbOnce(ladder, ask):
	case <-ctx.Done():
	}
	return p.Report()
}

// climbOnce starts the climb unless it has been, and returns the channel that is closed when it is over.
func (p *Process) climbOnce(ladder []Rung, ask func()) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.climbed == nil {
		p.climbed = make(chan struct{})
		// Ends with the process, or when the last rung did not help within exitWait.
		go p.climb(ladder, ask, p.climbed)
	}
	return p.climbed
}

func (p *Process) climb(ladder []Rung, ask func(), over chan<- struct{}) {
	defer close(over)
	for _, rung := range ladder {
		if p.take(rung, ask) {
			break
		}
	}
	if p.exitsWithin(exitWait) {
		<-p.ended
	}
}

// take takes one rung, and tells whether the process has exited by the end of its grace.
func (p *Process) take(rung Rung, ask func()) bool {
	if isClosed(p.exited) {
		return true
	}
	if rung.Step == Ask && ask == nil {
		return false
	}
	if err := p.step(rung, ask); err != nil && !errors.Is(err, ErrExited) {
		p.log.Error("step failed", slog.String("step", rung.Step.String()), slog.Any("err", err))
	}
	if p.exitsWithin(rung.Grace) {
		return true
	}
	if rung.Step == CloseStdin && p.isManaged() {
		p.input.callOff() // it does not read what is queued
	}
	return false
}

func (p *Process) step(rung Rung, ask func()) error {
	if rung.Step == Ask {
		// Ends when ask returns, which is the caller's part of the bargain. It does not hold up the ladder.
		go ask()
		return nil
	}
	return p.Take(rung)
}

// Take does a rung's step now, with the rung's signal, and leaves its grace to the caller. It is otherwise like Do.
func (p *Process) Take(rung Rung) error {
	if rung.Step == Terminate && rung.Signal != 0 {
		return p.end(rung.Signal, signalCont)
	}
	return p.Do(rung.Step)
}

// exitsWithin waits for the exit for as long as d.
func (p *Process) exitsWithin(d time.Duration) bool {
	return closedWithin(p.exited, d)
}

// closedWithin waits for c to be closed for as long as d, and tells whether it is.
func closedWithin(c <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return isClosed(c)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return isClosed(c)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
