package framing

import (
	"encoding/binary"
	"fmt"
)

// TotalSize is the size of the length that the first frame of a cut message carries before its part of the message.
const TotalSize = 4

const (
	firstPart  = 1<<20 + 4<<10 // bytes allocated for a message before they have come: a megabyte, and what is around it
	growth     = 4             // further ones: for each byte that has come, so many in all
	maxSkipped = 1 << 10       // open messages that are skipped: each costs a few words until its last frame
)

// Message is a whole message.
type Message struct {
	Type  uint8
	Flags Flags // those of its first frame, without More
	ID    uint64
	Body  []byte
	// Owned says that Body is the receiver's to keep, or to give to Recycle. Otherwise it is valid only as long as the frame's payload was.
	Owned bool
	// Cut says that the message came in several frames.
	Cut bool
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

// partial is a message of which more is to come.
type partial struct {
	flags   Flags
	body    []byte
	size    int
	seen    int
	dropped bool
	single  bool // it has one frame, and is not among those open
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
	p := a.opened(h)
	if p == nil && h.Flags&More == 0 {
		return a.whole(h, payload), true, nil
	}
	if p == nil {
		if p, payload, err = a.begin(h, payload); err != nil {
			return Message{}, false, err
		}
	}
	if err := p.count(h, len(payload)); err != nil {
		return Message{}, false, err
	}
	if !p.dropped {
		p.room(payload, 0)
	}
	m, done = a.end(h, p)
	return m, done, nil
}

// opened returns the message that the frame continues; nil if it begins one.
func (a *Assembler) opened(h Header) *partial {
	if len(a.open) == 0 {
		return nil
	}
	return a.open[part{h.ID, h.Type}]
}

// expect takes the header of a frame of whose payload only a part is there, of one that begins a cut message TotalSize bytes at least. It returns the message that it
// belongs to, and what is there of that.
func (a *Assembler) expect(h Header, payload []byte) (*partial, []byte, error) {
	length, p := int(h.Length), a.opened(h)
	switch {
	case p != nil:
	case h.Flags&More == 0:
		return &partial{flags: h.Flags, size: length, dropped: length > a.maxMessage, single: true}, payload, nil
	default:
		var err error
		if p, payload, err = a.begin(h, payload); err != nil {
			return nil, nil, err
		}
		length -= TotalSize
	}
	return p, payload, p.count(h, length)
}

// end takes note that a frame has come whole.
func (a *Assembler) end(h Header, p *partial) (m Message, done bool) {
	if h.Flags&More != 0 {
		return Message{}, false
	}
	if !p.single {
		a.forget(part{h.ID, h.Type}, p)
	}
	return Message{Type: h.Type, Flags: p.flags, ID: h.ID, Body: p.body, Owned: true, Cut: !p.single, Dropped: p.dropped, Size: p.size}, true
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
	if p.dropped && a.skipped == maxSkipped {
		return nil, nil, fmt.Errorf("more than %d messages at a time that nobody takes", maxSkipped)
	}
	a.open[part{h.ID, h.Type}] = p
	if p.dropped {
		a.skipped++
	}
	return p, payload[TotalSize:], nil
}

func (a *Assembler) forget(key part, p *partial) {
	delete(a.open, key)
	if p.dropped {
		a.skipped--
	}
}

// count takes n further bytes of the message into account.
func (p *partial) count(h Header, n int) error {
	p.seen += n
	last := h.Flags&More == 0
	switch {
	case p.seen > p.size, last && p.seen < p.size:
		return fmt.Errorf("the parts of message %d come to %d bytes of the %d announced", h.ID, p.seen, p.size)
	case !last && n == 0:
		return fmt.Errorf("empty part of message %d", h.ID)
	}
	return nil
}

// room appends what has come to the body and returns the place behind it, of n bytes, for what will.
func (p *partial) room(come []byte, n int) []byte {
	at := len(p.body) + len(come)
	if need := at + n; need > cap(p.body) {
		p.body = append(place(min(p.size, max(need, firstPart, growth*len(p.body)))), p.body...)
	}
	p.body = append(p.body, come...)[:at+n]
	return p.body[at:]
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
