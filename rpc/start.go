package rpc

import "context"

// Start sends a prepared call of the same group for its caller, who goes on sleeping; it waits for nothing. freed is CallOptions.Freed. If it returns
// false nothing has happened, and the caller is to be told, so that it sends the call by Wait. That is so for what takes time to send, and for what
// cannot be sent at all. Start is called at most once for a call.
func (p *Peer) Start(call Prepared, freed func()) bool {
	c := call.call
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.stage == claimed {
		return true
	}
	if !p.sendsAtOnce(&c.msg) || p.checkMethod(c.method) != nil || p.refusal() != nil {
		c.stage = declined
		return false
	}
	c.stage, c.wary, c.freed = started, true, freed
	if p.mayRead() {
		p.reading.grant(c)
		c.ready <- struct{}{}
	} else {
		p.calls.waiting.push(c)
	}
	p.number(c)
	frame, _ := c.msg.whole(c.id)
	c.start, c.end = p.out.next(len(frame))
	c.msg.buf, c.reply = c.reply, c.msg.buf[:0] // the answer goes where the processor has just been
	p.pushCopy(frame, nil)                      // by when it can come the frame has been copied; c is its caller's business then
	return true
}

// sendsAtOnce says that the message is short, and so within all limits, and that there is room for it; locked.
func (p *Peer) sendsAtOnce(m *message) bool {
	return len(m.tail) == 0 && !m.cut(p.outFrame) && len(p.out.queue) <= maxPending && !p.out.broken
}

// Rouse is for a caller that wakes up without having been told, when it is known that its call is for this connection. It stands for the token: if
// there is one, or will be, it is gone afterwards. Wait comes next.
func (p *Peer) Rouse(call Prepared) {
	c := call.call
	p.mu.Lock()
	defer p.mu.Unlock()
	switch c.stage {
	case prepared:
		c.stage = claimed
	case started:
		p.leave(c) // who has its answer already will see that
	case declined:
		p.takeToken(c)
	}
}

// Wait is the second half of a prepared call, after the token or Rouse: it sends the call if that has not been done, and waits for its answer, for
// the end of ctx, or for that of the connection. freed, reply and the error are those of [Peer.Call].
func (p *Peer) Wait(ctx context.Context, call Prepared, reply any, freed func()) error {
	c := call.call
	if err := p.waitFor(ctx, c, freed); err != nil {
		return err
	}
	return p.conclude(c, reply)
}

func (p *Peer) waitFor(ctx context.Context, c *call, freed func()) error {
	p.mu.Lock()
	if c.stage == started {
		return p.await(ctx, c)
	}
	p.mu.Unlock()
	if err := p.checkMethod(c.method); err != nil {
		p.group.release(c)
		free(freed)
		return err
	}
	return p.roundTrip(ctx, c, freed)
}

// takeToken waits for the token of a call that somebody has just taken out of a list, or has said there will be one for; locked, but unlocked while it
// waits.
func (p *Peer) takeToken(c *call) {
	p.mu.Unlock()
	<-c.ready
	p.mu.Lock()
}
