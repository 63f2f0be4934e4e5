package monitor

import (
	"errors"
	"log/slog"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// incarnation is one process of a program, from its start to its end. Its fields belong to the goroutine of its life, but for the channels and
// what emits lines.
type incarnation struct {
	l          *life
	generation int
	started    time.Time
	proc       *process.Managed
	begun      chan struct{} // closed when the start has been told: lines come after it
	died       time.Time
	exited     chan struct{} // closed when the process is known to be dead: nobody waits any longer for a line to be told

	ready     chan struct{} // has something in it when the program has shown that it is ready
	isReady   bool          // or it does not have to be
	stopProbe func()
	lateReady *time.Timer

	stopping bool
	asked    bool // it is being ended because somebody wants that
	kill     *time.Timer
}

// once starts the program, and follows it to its end.
func (l *life) once() death {
	if l.generation++; l.generation > 1 {
		l.emit(Restarting{})
	}
	i := &incarnation{
		l:          l,
		generation: l.generation,
		started:    time.Now(),
		begun:      make(chan struct{}),
		exited:     make(chan struct{}),
		ready:      make(chan struct{}, 1),
		isReady:    l.p.opts.waysToBeReady() == 0,
		lateReady:  stoppedTimer(),
		kill:       stoppedTimer(),
	}
	l.update(func(s *Status) { s.Generation, s.Restarts = l.generation, l.generation-1 })
	seen := l.p.opts.look(l.p.command)
	proc, err := l.m.opts.Start(l.p.command, i.options())
	l.update(func(s *Status) { s.LastError = err })
	if err != nil {
		l.emit(StartFailed{Err: err})
		return death{at: time.Now(), failed: true}
	}
	i.proc = proc
	return i.run(seen)
}

// stoppedTimer returns a timer that does not fire before it is Reset.
func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// options has the process tell what it writes, line by line.
func (i *incarnation) options() process.ManagedOptions {
	stdout, stderr := i.lines(Stdout), i.lines(Stderr)
	return process.ManagedOptions{
		Options: process.Options{
			Log:          i.l.log,
			DrainTimeout: i.l.m.opts.DrainTimeout,
			Guard:        !i.l.p.opts.Unguarded,
			SpareStrays:  i.l.p.opts.SpareStrays,
		},
		Stdout: func(data []byte) { _, _ = stdout.Write(data) },
		Stderr: func(data []byte) { _, _ = stderr.Write(data) },
		Lost: func(fd int, _ error) { // comes when the stream's function has been called for the last time
			switch fd {
			case int(Stdout):
				stdout.Flush()
			case int(Stderr):
				stderr.Flush()
			}
		},
	}
}

func (i *incarnation) lines(s Stream) *process.Lines {
	return &process.Lines{Max: i.l.m.opts.MaxLine, Emit: func(text string) { i.emitLine(Line{Stream: s, Text: text}) }}
}

// emitLine runs on the goroutine that reads the stream, and may hold that up.
func (i *incarnation) emitLine(line Line) {
	<-i.begun
	e := Event{Program: i.l.p.name, Generation: i.generation, Time: time.Now(), What: line}
	i.l.m.hub.publish(e)
	if i.l.outbox != nil {
		i.l.outbox.postLine(e, i.exited)
	}
	if pattern := i.l.p.opts.ReadyLine; pattern != nil && pattern.MatchString(line.Text) {
		i.showReady() // told after the line that says so
	}
}

func (i *incarnation) showReady() {
	select {
	case i.ready <- struct{}{}:
	default:
	}
}

func (i *incarnation) run(seen fileMark) death {
	i.l.pid = i.proc.PID()
	i.l.update(func(s *Status) { s.PID = i.l.pid })
	i.l.emit(Started{PID: i.l.pid})
	close(i.begun)
	if i.isReady {
		i.l.enter(StateRunning)
	}
	i.stopProbe = i.l.probe(i.l.p.opts.prober(i.l.p.command, seen), i.showReady)
	if !i.isReady && i.l.p.opts.ReadyTimeout > 0 {
		i.lateReady.Reset(i.l.p.opts.ReadyTimeout)
	}
	i.follow()
	return i.end()
}

// follow returns when the process has ended.
func (i *incarnation) follow() {
	exited := i.proc.Exited()
	for {
		select {
		case <-exited:
			exited = nil
			i.die()
		case <-i.proc.Ended():
			if exited != nil {
				i.die()
			}
			return
		case <-i.l.p.wake:
			i.obey()
		case <-i.ready:
			i.becomeReady()
		case <-i.lateReady.C:
			i.stop(process.KillerStart)
		case <-i.kill.C:
			i.do(process.Kill)
		}
	}
}

// die takes note of the death. What the process has left behind may still be looked after, for as long as DrainTimeout.
func (i *incarnation) die() {
	i.died = time.Now()
	close(i.exited)
	i.stopProbe()
}

// obey ends the process if it is not wanted.
func (i *incarnation) obey() {
	switch wanted, restart := i.l.orders(); {
	case !wanted:
		i.asked = i.stop(process.KillerShutdown) || i.asked
	case restart:
		i.asked = i.stop(process.KillerAsked) || i.asked
	}
}

func (i *incarnation) becomeReady() {
	if i.isReady {
		return
	}
	i.isReady = true
	i.lateReady.Stop()
	if !i.stopping {
		i.l.enter(StateRunning)
	}
	i.l.emit(Ready{After: time.Since(i.started)})
}

// stop sends TERM, and has KILL follow. It tells whether the process did not end by itself before. It does that once; later stops find the
// KILL on its way (P37).
func (i *incarnation) stop(why process.Killer) bool {
	if i.stopping {
		return true
	}
	i.proc.Blame(why)
	if !i.do(process.Terminate) {
		return false
	}
	i.stopping = true
	i.lateReady.Stop()
	i.l.enter(StateStopping)
	i.kill.Reset(max(i.l.p.opts.KillTime, 0))
	return true
}

// do takes a step, and tells whether the process was still there.
func (i *incarnation) do(s process.Step) bool {
	err := i.proc.Do(s)
	if err != nil && !errors.Is(err, process.ErrExited) {
		i.l.log.Error("step failed", slog.String("step", s.String()), slog.Any("err", err))
	}
	return !errors.Is(err, process.ErrExited)
}

// end tells how it ended. What the program has said in its last moment counts.
func (i *incarnation) end() death {
	select {
	case <-i.ready:
		i.becomeReady()
	default:
	}
	i.lateReady.Stop()
	i.kill.Stop()
	r := i.proc.Report()
	i.l.update(func(s *Status) { s.PID, s.LastReport = 0, r })
	i.l.emit(Exited{Report: r})
	i.l.pid = 0
	return death{at: i.died, lived: r.Uptime, unready: !i.isReady, success: r.Success(), asked: i.asked}
}
