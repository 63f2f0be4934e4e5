package modes

import (
	"bytes"
	"encoding/binary"
	"os"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
)

// The frame types that are needed here; docs/protocol.md, section 4.
const (
	typeHello    = 0x01
	typeReady    = 0x05
	typeCall     = 0x10
	typeReply    = 0x12
	typeError    = 0x13
	typeCancel   = 0x14
	typeProgress = 0x15
	typePing     = 0x20
	typePong     = 0x21
	typeShutdown = 0x22
	typeGoodbye  = 0x23
)

// host is the other end of the pipes, and what the worker knows of it. One goroutine does everything.
type host struct {
	name  string // of the mode
	mode  mode
	in    *framing.Buffer
	parts *framing.Assembler

	held   []uint64 // calls of hold
	due    *call    // a misbehave that waits for others
	last   uint64   // the highest call id so far
	late   uint64   // the call that the mode late has not answered yet
	silent bool     // nothing is written any more
}

// call is one call that came.
type call struct {
	id     uint64
	method string
	args   msgpack.RawMessage // valid until the next frame is read
	others int                // of a misbehave: the calls of hold that are to be there first
}

func newHost(name string, m mode) *host {
	return &host{
		name: name, mode: m,
		in:    framing.NewBuffer(framing.DefaultFrame),
		parts: framing.NewAssembler(framing.DefaultMessage, nil),
	}
}

// next reads up to the next message.
func (h *host) next() (framing.Message, error) {
	for {
		header, payload, ok, err := h.in.Next()
		if err != nil {
			return framing.Message{}, err
		}
		if ok {
			if m, done, err := h.parts.Add(header, payload); err != nil || done {
				return m, err
			}
			continue
		}
		n, err := os.Stdin.Read(h.in.Space())
		h.in.Filled(n)
		if err != nil {
			return framing.Message{}, err
		}
	}
}

// write writes bytes as they are. There is nobody to tell if that fails: the host is gone.
func (h *host) write(b []byte) {
	if !h.silent {
		_, _ = os.Stdout.Write(b)
	}
}

// send writes one frame.
func (h *host) send(typ uint8, id uint64, payload []byte) { h.write(frame(typ, 0, id, payload)) }

// frame is one frame with whatever is in it.
func frame(typ uint8, flags framing.Flags, id uint64, payload []byte) []byte {
	header := framing.Header{Type: typ, Flags: flags, Length: uint32(len(payload)), ID: id}
	return append(header.Append(nil), payload...)
}

// firstPart is the first frame of a reply that claims to have total bytes.
func firstPart(id uint64, total uint32, part []byte) []byte {
	return frame(typeReply, framing.More, id, append(binary.BigEndian.AppendUint32(nil, total), part...))
}

// hello is the frame with which a worker introduces itself.
func hello() []byte {
	return frame(typeHello, 0, 0, append([]byte("stdcrew"), value(map[string]any{
		"sdk": "hostile", "pid": os.Getpid(), "inflight": -1, "caps": []string{"cancel", "busy"},
	})...))
}

// reply is the whole frame of a result.
func reply(id uint64, v any) []byte { return frame(typeReply, 0, id, value(v)) }

// value encodes what always can be.
func value(v any) []byte {
	b, err := msgpack.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// parseCall takes a call's payload apart. The host is trusted.
func parseCall(id uint64, payload []byte) (call, error) {
	c := call{id: id}
	d := msgpack.NewDecoder(bytes.NewReader(payload))
	n, err := d.DecodeArrayLen()
	if err != nil {
		return c, err
	}
	if c.method, err = d.DecodeString(); err != nil {
		return c, err
	}
	for range n - 1 { // budget, attempt, metadata
		if err := d.Skip(); err != nil {
			return c, err
		}
	}
	if c.args, err = d.DecodeRaw(); err == nil && c.method == "misbehave" {
		err = msgpack.Unmarshal(c.args, &c.others)
	}
	return c, err
}
