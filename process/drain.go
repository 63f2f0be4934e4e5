package process

import "time"

// draining is a stream that is still looked after when the process has exited.
type draining interface {
	// over is closed when the stream has come to its end.
	over() <-chan struct{}
	// callOff brings the end about.
	callOff()
}

// drain waits for the ends of the streams that we look after, and brings them about after DrainTimeout. It tells whether somebody held an
// output open.
func (p *Process) drain() (held bool) {
	defer p.tail.stop()
	streams := []draining{p.stderr}
	if p.isManaged() {
		streams = append(streams, p.input, p.stdout)
	}
	until := time.Now().Add(p.drainTimeout)
	for _, s := range streams {
		if !closedWithin(s.over(), time.Until(until)) {
			s.callOff()
		}
	}
	if !p.isManaged() {
		// A log handler that blocks does not keep a process from having ended.
		return closedWithin(p.stderr.done, lastRead) && p.stderr.held
	}
	for _, s := range streams {
		<-s.over()
	}
	return p.stdout.held || p.stderr.held
}
