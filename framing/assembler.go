package framing

import (
	"encoding/binary"
	"fmt"
)

// TotalSize is the size of the length that the first frame of a cut message carries before its part of the message.
const TotalSize = 4

const (
	firstPart  = 1 << 20 // bytes allocated for a message before they have come
	maxSkipped = 1 << 10 // open messages that are skipped: each costs a few words until its last frame
)

// Message is a whole message.
type Message struct {
	Type  uint8
	Flags Flags // those of its first frame, without More
	ID    uint64
	Body  []byte
	// Owned says that Body is the receiver's to keep. Otherwise it is valid only as long as the frame's payload was.
	Owned bool
	// Dropped says that the message was skipped, because it is over the limit or nobody wanted it; Body is nil.
	Dropped bool
	Size    int // bytes of the message, also where it was dropped
}

// Assembler joins the frames of cut messages. It belongs to one reader at a time.
type Assembler struct {
	maxMessage int
	want       func(Header) (bool, error)
	open       map[part]*partial
	skipped    int // of those open
}

type part struct {
	id  uint64
	typ uint8
}

type partial struct {
	flags   Flags
	body    []byte
	size    int
	seen    int
	dropped bool
}

// NewAssembler returns an Assembler for messages of at most maxMessage bytes. want is asked once for each cut message, at its first
// frame: where it says no, no memory is taken and the message arrives as dropped; its error is returned by Add. If nil, every message is
// wanted.
func NewAssembler(maxMessage int, want func(Header) (bool, error)) *Assembler {
	return &Assembler{maxMessage: maxMessage, want: want, open: make(map[part]*partial)}
}

// SetMaxMessage changes the limit for the messages that begin from here on.
func (a *Assembler) SetMaxMessage(n int) { a.maxMessage = n }

// Add takes one frame. done says that m is complete. The errors are violations of the protocol, after which the stream is of no use.
func (a *Assembler) Add(h Header, payload []byte) (m Message, done bool, err error) {
	key := part{h.ID, h.Type}
	var p *partial
	if len(a.open) > 0 {
		p = a.open[key]
	}
	if p == nil {
		if h.Flags&More == 0 {
			return a.whole(h, payload), true, nil
		}
		if p, payload, err = a.begin(h, payload); err != nil {
			return Message{}, false, err
		}
		a.keep(key, p)
	}
	if err := p.add(h, payload); err != nil {
		return Message{}, false, err
	}
	if h.Flags&More != 0 {
		return Message{}, false, nil
	}
	a.forget(key, p)
	return Message{Type: h.Type, Flags: p.flags, ID: h.ID, Body: p.body, Owned: true, Dropped: p.dropped, Size: p.size}, true, nil
}

func (a *Assembler) whole(h Header, payload []byte) Message {
	m := Message{Type: h.Type, Flags: h.Flags, ID: h.ID, Body: payload, Size: len(payload)}
	if len(payload) > a.maxMessage {
		m.Body, m.Dropped = nil, true
	}
	return m
}

func (a *Assembler) begin(h Header, payload []byte) (*partial, []byte, error) {
	if len(payload) < TotalSize {
		return nil, nil, fmt.Errorf("first frame of message %d is too short for the message's length", h.ID)
	}
	size := binary.BigEndian.Uint32(payload)
	if int64(size) > MaxMessage {
		return nil, nil, fmt.Errorf("message %d claims %d bytes", h.ID, size)
	}
	wanted := true
	if a.want != nil {
		var err error
		if wanted, err = a.want(h); err != nil {
			return nil, nil, err
		}
	}
	p := &partial{flags: h.Flags &^ More, size: int(size), dropped: !wanted || int(size) > a.maxMessage}
	switch {
	case !p.dropped:
		p.body = make([]byte, 0, min(p.size, firstPart))
	case a.skipped == maxSkipped:
		return nil, nil, fmt.Errorf("more than %d messages at a time that nobody takes", maxSkipped)
	}
	return p, payload[TotalSize:], nil
}

func (a *Assembler) keep(key part, p *partial) {
	a.open[key] = p
	if p.dropped {
		a.skipped++
	}
}

func (a *Assembler) forget(key part, p *partial) {
	delete(a.open, key)
	if p.dropped {
		a.skipped--
	}
}

func (p *partial) add(h Header, payload []byte) error {
	p.seen += len(payload)
	last := h.Flags&More == 0
	switch {
	case p.seen > p.size, last && p.seen < p.size:
		return fmt.Errorf("the parts of message %d come to %d bytes of the %d announced", h.ID, p.seen, p.size)
	case !last && len(payload) == 0:
		return fmt.Errorf("empty part of message %d", h.ID)
	case !p.dropped:
		p.body = append(p.body, payload...)
	}
	return nil
}

// Drop forgets an open message, whose sender gave it up, and reports whether there was one.
func (a *Assembler) Drop(id uint64, typ uint8) bool {
	key := part{id, typ}
	p, ok := a.open[key]
	if ok {
		a.forget(key, p)
	}
	return ok
}

// Taken is the number of open messages of that type for which memory is taken.
func (a *Assembler) Taken(typ uint8) (n int) {
	for key, p := range a.open {
		if key.typ == typ && !p.dropped {
			n++
		}
	}
	return n
}
