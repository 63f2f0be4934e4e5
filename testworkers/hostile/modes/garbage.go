package modes

import (
	"math"
	"os"

	"github.com/stdcrew/stdcrew/framing"
)

var garbage = map[string]mode{
	// Writes bytes that are no frame.
	"garbage": {call: func(h *host, _ call) { h.write([]byte("\x00\x01\x02garbage\xff\xfe\xfd and more of it")) }},

	// Stops in the middle of a header.
	"half-header": {call: func(h *host, c call) { h.stopAfter(reply(c.id, os.Getpid())[:framing.HeaderSize/2]) }},

	// Stops in the middle of a payload.
	"half-frame": {call: func(h *host, c call) {
		whole := reply(c.id, "an answer that never comes whole")
		h.stopAfter(whole[:len(whole)-5])
	}},

	// Stops between two frames of one message.
	"half-message": {
		call:   func(h *host, c call) { h.write(firstPart(c.id, 1000, value("a part"))) },
		cancel: ignoreCancel,
	},

	// Claims a frame of 4 GiB.
	"giant": {call: func(h *host, c call) {
		h.write(append(framing.Header{Type: typeReply, Length: math.MaxUint32, ID: c.id}.Append(nil), "and so on"...))
	}},

	// Claims a message of 4 GiB.
	"giant-message": {call: func(h *host, c call) { h.write(firstPart(c.id, math.MaxUint32, value("a part"))) }},

	// Sends parts that are more than the message was to be.
	"parts": {call: func(h *host, c call) {
		h.write(firstPart(c.id, 4, []byte("abc")))
		h.write(frame(typeReply, 0, c.id, []byte("def")))
	}},

	// Sends a type that does not exist.
	"unknown-type": {call: func(h *host, c call) { h.write(frame(0x2F, 0, c.id, []byte("what is it?"))) }},

	// Says hello again.
	"second-hello": {call: func(h *host, _ call) { h.write(hello()) }},

	// Sends what only a host may send.
	"host-only": {call: func(h *host, _ call) { h.send(typeShutdown, 0, value(map[string]any{"mode": "now", "ms": 1})) }},

	// Calls the host under an id, and then under a lower one.
	"id-falls": {call: func(h *host, _ call) {
		for _, id := range []uint64{3, 1} {
			h.send(typeCall, id, append(value([]any{"anything", 0, 1, nil}), value(nil)...))
		}
	}},
}

// stopAfter writes the beginning of a frame and then never anything more.
func (h *host) stopAfter(b []byte) {
	h.write(b)
	h.silent = true
}
