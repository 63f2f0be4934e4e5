package rpc

import "time"

// Shutdown asks the worker to end: to finish the calls that run, or with now to cancel them, and to say goodbye. grace is what it is given
// before harder means follow. Shutdown does not wait for the answer.
func (p *Peer) Shutdown(now bool, grace time.Duration) error {
	m := shutdownMessage{Mode: shutdownDrain, Millis: uint64(max(grace, 0) / time.Millisecond)}
	if now {
		m.Mode = shutdownNow
	}
	return p.controlValue(typeShutdown, m)
}

// shutdown tells the owner that the host wants the worker to end.
func (p *Peer) shutdown(body []byte) error {
	if p.host {
		return violation("shutdown from a worker")
	}
	var m shutdownMessage
	if err := decodeValue(body, &m); err != nil {
		return violation("malformed shutdown: %v", err)
	}
	if p.notify.shutdown == nil {
		p.Goodbye("shutdown", m.Mode == shutdownNow)
		return nil
	}
	p.notifyLater(func() { p.notify.shutdown(m.Mode == shutdownNow, m.grace()) })
	return nil
}

// Goodbye refuses further calls and says goodbye once those that run have been answered; with now their contexts end at once, and those that fail
// because of that are answered with CodeShuttingDown. It does not wait: the channel is closed when the calls have been answered, also where the
// connection has ended and nobody hears the goodbye. After it Serve goes on reading, and discards, until the stream ends.
func (p *Peer) Goodbye(reason string, now bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serving.leaving, p.serving.reason = true, clip(reason)
	if now {
		for in := range p.serving.running.all() {
			in.ctx.leave()
		}
	}
	p.sayGoodbye()
	return p.serving.said
}

// sayGoodbye says goodbye when it is time to, once; locked.
func (p *Peer) sayGoodbye() {
	s := &p.serving
	if !s.leaving || s.left || s.running.count+s.answering > 0 {
		return
	}
	s.left = true
	defer close(s.said)
	b, err := appendValue(nil, goodbyeMessage{Reason: s.reason, LastID: s.accepted})
	if err == nil { // a text and a number always encode
		p.control(typeGoodbye, 0, 0, b)
	}
}

// goodbye fails the calls that the other side has not accepted, and has no further ones sent. Only the first one counts.
func (p *Peer) goodbye(body []byte) error {
	var m goodbyeMessage
	if err := decodeValue(body, &m); err != nil {
		return violation("malformed goodbye: %v", err)
	}
	p.mu.Lock()
	if p.end.goodbye {
		p.stats.Ignored++
		p.mu.Unlock()
		return nil
	}
	p.end.goodbye = true
	p.mu.Unlock()
	if p.notify.goodbye != nil {
		p.notify.goodbye(m.Reason) // first: who repeats a call at once must not come back to this worker
	}
	var freed []func()
	p.mu.Lock()
	for c := range p.calls.pending.all() {
		if c.id > m.LastID && !c.ping {
			c.err = &CallError{Delivery: NotSent, Err: ErrGoodbye}
			freed = append(freed, p.finish(c))
		}
	}
	p.mu.Unlock()
	free(freed...)
	return nil
}

// notifyLater calls the owner back on a goroutine of its own: the reader waits for nobody.
func (p *Peer) notifyLater(f func()) {
	go f() // ends with the owner's callback
}
