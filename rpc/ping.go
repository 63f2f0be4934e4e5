package rpc

import (
	"context"
	"errors"
)

// pingBit sets the ids under which pings wait apart from those of calls.
const pingBit = 1 << 63

// maxPing is the largest ping that is answered, in bytes.
const maxPing = 64

// Ping asks the other side for a sign of life and waits for it.
func (p *Peer) Ping(ctx context.Context) error {
	c := p.group.newCall()
	c.ping = true
	p.mu.Lock()
	if err := p.lost(); err != nil {
		p.mu.Unlock()
		return err
	}
	p.handOver() // if a handler asks: the answer must be read
	p.calls.nonce++
	c.id = p.calls.nonce | pingBit
	p.register(c)
	p.control(typePing, 0, 0, appendUint(nil, c.id))
	return p.awaitPing(ctx, c)
}

// awaitPing is await for a ping, which takes no place on the connection.
func (p *Peer) awaitPing(ctx context.Context, c *call) error {
	err := p.await(ctx, c)
	if err == nil {
		err = c.err
		p.group.release(c)
	}
	var failed *CallError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// pinged answers a ping, unless so much waits to be written that the other side does not read.
func (p *Peer) pinged(payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(payload) <= maxPing && len(p.out.queue) < maxPending {
		p.control(typePong, 0, 0, payload)
		return
	}
	p.stats.Ignored++
}

// ponged ends the wait of the ping that is answered.
func (p *Peer) ponged(payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, err := next(payload)
	if err != nil || t.kind != unsigned {
		p.stats.Late++
		return
	}
	if c := p.calls.pending.get(t.n); c != nil && c.ping {
		p.finish(c)
		return
	}
	if t.n == heartbeatPing {
		return // that it came is what counts
	}
	p.stats.Late++
}
