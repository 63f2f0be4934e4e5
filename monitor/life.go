package monitor

import (
	"log/slog"
	"time"
)

// life keeps one program running, from the moment it is wanted until it no longer is, has finished, or is given up. Its fields belong to the
// goroutine of live, but for the channels.
type life struct {
	m      *Monitor
	p      *program
	log    *slog.Logger
	outbox *mailbox // for OnEvent; nil: nobody is told

	// gone and done of the life of the same name before this one.
	afterGone, afterDone <-chan struct{}

	streak     streak
	generation int
	pid        int
	probed     <-chan struct{} // closed when the last prober has returned, also if that is one of a life before this one

	gone       chan struct{} // closed when no process is left, neither of this life nor of one before it
	probesOver chan struct{} // closed when also no prober is under way
	done       chan struct{} // closed when also all its events have been told
}

// newLife makes a life that follows the one before, which may be nil. Monitor.mu is held.
func newLife(m *Monitor, p *program, before *life) *life {
	l := &life{
		m:          m,
		p:          p,
		log:        m.opts.Log.With(slog.String("program", p.name)),
		streak:     newStreak(p.opts),
		generation: p.status.Generation,
		gone:       make(chan struct{}),
		probesOver: make(chan struct{}),
		done:       make(chan struct{}),
	}
	past := make(chan struct{})
	close(past)
	l.probed, l.afterGone, l.afterDone = past, past, past
	if before != nil {
		l.probed, l.afterGone, l.afterDone = before.probesOver, before.gone, before.done
	}
	if m.opts.OnEvent != nil {
		l.outbox = newMailbox(p.name, m.opts.EventBuffer)
	}
	return l
}

func (l *life) live() {
	<-l.afterGone
	l.keepRunning()
	close(l.gone)

	<-l.probed
	close(l.probesOver)
	if l.outbox != nil {
		l.outbox.close()
		return // tell says when all is done
	}
	l.finish()
}

// tell calls OnEvent, for one event at a time.
func (l *life) tell() {
	<-l.afterDone
	l.outbox.deliver(l.m.opts.OnEvent)
	l.finish()
}

// finish says that nothing of the life is left.
func (l *life) finish() {
	l.m.mu.Lock()
	if l.m.lives[l.p.name] == l {
		delete(l.m.lives, l.p.name)
	}
	l.m.mu.Unlock()
	close(l.done)
}

func (l *life) keepRunning() {
	for l.mayStart() {
		d := l.once()
		do, delay := l.streak.after(d)
		l.update(func(s *Status) { s.Attempts = l.streak.attempts })
		switch {
		case do == finish && l.retire(StateStopped):
			l.emit(Stopped{})
			return
		case do == giveUp && l.retire(StateGivenUp):
			l.emit(l.gaveUp())
			return
		case do == wait:
			l.pause(delay, d.at)
		}
	}
	l.emit(Stopped{})
}

// mayStart tells whether the program is still wanted. If so, its next generation begins; if not, no order reaches this life any more.
func (l *life) mayStart() bool {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if !l.p.wanted {
		l.p.living = false
		l.p.enter(StateStopped)
		return false
	}
	l.p.restart = false // this start is the one that was asked for
	l.p.enter(StateStarting)
	return true
}

// retire ends the life in state s, unless an order has come that says otherwise.
func (l *life) retire(s State) bool {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if !l.p.wanted || l.p.restart {
		return false
	}
	l.p.living = false
	l.p.enter(s)
	return true
}

// gaveUp tells why the last attempt failed.
func (l *life) gaveUp() GaveUp {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	w := GaveUp{Attempts: l.streak.attempts, Err: l.p.status.LastError}
	if w.Err == nil {
		w.Report = l.p.status.LastReport
	}
	return w
}

// pause waits for the delay since the death to be over, or for an order that makes it pointless.
func (l *life) pause(delay time.Duration, since time.Time) {
	l.update(func(s *Status) { s.Delay = delay })
	l.enter(StateBackingOff)
	l.emit(BackingOff{Delay: delay, Attempt: l.streak.attempts})
	timer := time.NewTimer(delay - time.Since(since))
	defer timer.Stop()
	for wanted, restart := l.orders(); wanted && !restart; wanted, restart = l.orders() {
		select {
		case <-timer.C:
			return
		case <-l.p.wake:
		}
	}
}

// orders returns what is wanted of the program.
func (l *life) orders() (wanted, restart bool) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.p.wanted, l.p.restart
}

func (l *life) enter(s State) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.p.enter(s)
}

func (l *life) update(change func(*Status)) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	change(&l.p.status)
}

// emit tells everybody what has happened to the program.
func (l *life) emit(w What) {
	logEvent(l.log, l.generation, l.pid, w)
	e := Event{Program: l.p.name, Generation: l.generation, Time: time.Now(), What: w}
	l.m.hub.publish(e)
	if l.outbox != nil {
		l.outbox.post(e)
	}
}
