package process

import "time"

// draining is a stream that is still looked after when the process has exited.
type draining interface {
	// over is closed when the stream has come to its end.
	over() <-chan struct{}
	// callOff brings the end about.
	callOff()
}

// streams returns those that we look after.
func (p *Process) streams() []draining {
	if p.isManaged() {
		return []draining{p.stderr, p.input, p.stdout}
	}
	return []draining{p.stderr}
}

// drain waits for the ends of the streams that we look after, and brings them about after DrainTimeout.
func (p *Process) drain() {
	until := time.Now().Add(p.drainTimeout)
	for _, s := range p.streams() {
		if !closedWithin(s.over(), time.Until(until)) {
			s.callOff()
		}
	}
}

// settle waits, after drain, until all that was read has been handed over. It tells whether somebody held an output open. The functions of a
// Managed take as long as they take; a log handler that blocks does not keep a process from having ended.
func (p *Process) settle() (held bool) {
	defer p.tail.stop()
	if !p.isManaged() {
		return closedWithin(p.stderr.done, lastRead) && p.stderr.held
	}
	for _, s := range p.streams() {
		<-s.over()
	}
	return p.stdout.held || p.stderr.held
}
