package modes

import (
	"bytes"
	"encoding/binary"

	"github.com/stdcrew/stdcrew/framing"
)

const (
	nils = 1 << 20 // bytes of a reply that is one array of them, with its header
	deep = 1 << 16
)

var bombs = map[string]mode{
	// Five bytes that claim four billion elements.
	"bomb-array": {call: bomb([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})},

	// Five bytes that claim a text of 4 GiB.
	"bomb-text": {call: bomb([]byte{0xdb, 0xff, 0xff, 0xff, 0xff})},

	// A valid value whose elements take one byte here, and as much as the caller's type there.
	"bomb-nils": {call: func(h *host, c call) {
		const elements = nils - 5
		b := binary.BigEndian.AppendUint32([]byte{0xdd}, elements)
		h.writeParts(c.id, append(b, bytes.Repeat([]byte{0xc0}, elements)...))
	}},

	// A map whose key is an array, which Go cannot have.
	"bomb-key": {call: bomb([]byte{0x81, 0x91, 0x01, 0x02})},

	// Arrays in arrays, deeper than a stack likes.
	"bomb-deep": {call: bomb(append(bytes.Repeat([]byte{0x91}, deep), 0xc0))},

	// Two values in place of one.
	"bomb-tail": {call: bomb([]byte{0x01, 0x02})},

	// A good value, of 2 MiB.
	"oversize": {call: func(h *host, c call) { h.writeParts(c.id, value(make([]byte, 2<<20))) }},
}

// bomb answers with a payload that is not what it seems.
func bomb(payload []byte) func(*host, call) {
	return func(h *host, c call) { h.send(typeReply, c.id, payload) }
}

// partSize is less than any host takes in a frame by default.
const partSize = 64 << 10

// writeParts answers with a payload in several frames.
func (h *host) writeParts(id uint64, payload []byte) {
	h.write(firstPart(id, uint32(len(payload)), payload[:partSize]))
	for rest := payload[partSize:]; len(rest) > 0; {
		n := min(len(rest), partSize)
		b := frame(typeReply, 0, id, rest[:n])
		if n < len(rest) {
			b = frame(typeReply, framing.More, id, rest[:n])
		}
		h.write(b)
		rest = rest[n:]
	}
}
