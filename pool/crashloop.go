package pool

import (
	"context"
	"log/slog"
)

// loop is where a pool stands in its crash loop, which works as a circuit breaker does: after maxBootFailures, or one that cannot be cured, callers
// fail at once; when the delay is over one process is started, the probe, and callers wait for it; it closes the loop or opens it again, with
// twice the delay. That it is in the loop at all is known to restarts, the rest follows from the census.
type loop string

const (
	loopNone    loop = ""
	loopOpen    loop = "open"
	loopProbing loop = "probing"
)

func (p *Pool) loopNow() loop {
	switch {
	case !p.restarts.looping || p.phase == phaseClosed:
		return loopNone
	case p.census.starting > 0:
		return loopProbing
	default:
		return loopOpen
	}
}

// turnLoop notices that the loop has begun, gone on, or ended.
func (p *Pool) turnLoop(fx *effects) {
	p.restarts.judge(p.census.live())
	was, is := p.loop, p.loopNow()
	if is == was {
		return
	}
	p.loop = is
	switch is {
	case loopOpen:
		p.tellPool(Event{Kind: EventCrashLoop, Err: p.restarts.last, Delay: p.restarts.waits(p.now())})
	case loopProbing:
		p.tellPool(Event{Kind: EventProbing})
	case loopNone:
		p.tellPool(Event{Kind: EventRecovered})
	}
	level := slog.LevelInfo
	if is == loopOpen {
		level = slog.LevelWarn // callers fail from here on
	}
	fx.add(func() { p.log.Log(context.Background(), level, "crash loop", slog.String("state", is.String())) })
}

func (l loop) String() string {
	if l == loopNone {
		return "over"
	}
	return string(l)
}
