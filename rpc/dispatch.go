package rpc

import (
	"errors"

	"github.com/stdcrew/stdcrew/framing"
)

// errRoleLost tells the serving goroutine that another one reads now.
var errRoleLost = errors.New("the reading role has passed on")

// consume deals with all the frames that have been read, and writes what is sent meanwhile; not locked, with the reading role. An error ends the
// connection.
func (p *Peer) consume() error {
	err := p.dispatchAll()
	if err != errRoleLost && p.corked {
		p.uncork()
	}
	return err
}

func (p *Peer) dispatchAll() error {
	for {
		if p.phase == awaitHello {
			if found, err := p.findHello(); err != nil || !found {
				return err
			}
		}
		m, ok, err := p.in.Next()
		if err != nil {
			return &ProtocolError{Err: err}
		}
		if !ok {
			return nil
		}
		if err := p.dispatch(m); err != nil {
			return err
		}
	}
}

// wants is asked at the first frame of a message that comes in parts. It decides whether memory is taken for the message; not locked.
func (p *Peer) wants(h framing.Header) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch h.Type {
	case typeReply, typeError:
		c := p.calls.pending.get(h.ID)
		return c != nil && !c.left, nil
	case typeCall:
		taken := p.serving.running.count + p.in.Taken(typeCall)
		return p.handler != nil && taken < p.places, p.newID(h.ID)
	}
	return false, nil
}

// dispatch deals with one message; not locked.
func (p *Peer) dispatch(m framing.Message) error {
	if p.phase != open {
		return p.greet(m)
	}
	switch m.Type {
	case typeReply, typeError:
		p.answered(m)
	case typeCall:
		return p.called(m)
	case typeCancel:
		return p.cancelled(m)
	case typePing:
		p.pinged(m.Body)
	case typePong:
		p.ponged(m.Body)
	case typeGoodbye:
		return p.goodbye(m.Body)
	case typeShutdown:
		return p.shutdown(m.Body)
	case typeHello, typeWelcome, typeRefuse, typeStarting, typeReady, typeInitError:
		return violation("%s after the handshake", typeName(m.Type))
	case typeStarted, typeProgress, typeData, typeCredit, typeEnd, typeReset, typeLog, typeNotify:
		p.ignored() // neither announced nor asked for
	default:
		if m.Flags&framing.Ignorable == 0 {
			return violation("unknown %s with %.32q; did something print to stdout?", typeName(m.Type), m.Body)
		}
		p.ignored()
	}
	return nil
}

func (p *Peer) ignored() {
	p.mu.Lock()
	p.stats.Ignored++
	p.mu.Unlock()
}

// smallReply is what is copied under the mutex without a second thought.
const smallReply = 4 << 10

// answered hands a terminal message to its caller.
func (p *Peer) answered(m framing.Message) {
	p.in.Drop(m.ID, typeReply) // an error gives an open reply up, and nothing of a call follows its answer
	p.in.Drop(m.ID, typeError)
	p.mu.Lock()
	c := p.calls.pending.get(m.ID)
	if c == nil || c.ping {
		p.stats.Late++
		p.mu.Unlock()
		return
	}
	if c.left && m.Type == typeReply {
		p.stats.Late++
	}
	p.calls.pending.remove(m.ID)
	if len(m.Body) > smallReply && !m.Owned {
		p.mu.Unlock()
		c.take(m, p.inLimit())
		p.mu.Lock()
	} else {
		c.take(m, p.inLimit())
	}
	p.deliver(c)
}

// deliver gives the place of a call that has been answered to whoever waits for one, and then has its caller know; locked, but unlocked when it returns.
// It comes in that order because a caller who has its answer may call again at once, and must find the place.
func (p *Peer) deliver(c *call) {
	asleep := p.complete(c)
	if c.left {
		freed := p.bury(c)
		p.mu.Unlock()
		free(freed)
		return
	}
	freed := c.freed
	c.freed = nil
	self := p.reading.holder == c
	c.telling = !self && !asleep
	p.cork()
	p.mu.Unlock()
	free(freed)
	if !self {
		c.ready <- struct{}{}
	}
}

// take keeps the answer; the call is no longer pending and so nobody else's to finish.
func (c *call) take(m framing.Message, limit int) {
	c.answer, c.flags = m.Type, m.Flags
	switch {
	case m.Dropped:
		c.err = &RemoteError{Code: CodeBadReply, Message: oversize(m.Size, limit)}
	case m.Owned:
		c.reply, c.owned = m.Body, true
	default:
		c.reply = append(c.reply[:0], m.Body...)
	}
}
