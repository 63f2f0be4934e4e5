package rpc

import (
	"fmt"

	"github.com/stdcrew/stdcrew/framing"
)

// msgType is a frame's type; the numbers are those of docs/protocol.md, section 4.
type msgType = uint8

const (
	typeHello     msgType = 0x01
	typeWelcome   msgType = 0x02
	typeRefuse    msgType = 0x03
	typeStarting  msgType = 0x04
	typeReady     msgType = 0x05
	typeInitError msgType = 0x06

	typeCall     msgType = 0x10
	typeStarted  msgType = 0x11
	typeReply    msgType = 0x12
	typeError    msgType = 0x13
	typeCancel   msgType = 0x14
	typeProgress msgType = 0x15

	typeData   msgType = 0x18
	typeCredit msgType = 0x19
	typeEnd    msgType = 0x1A
	typeReset  msgType = 0x1B

	typePing     msgType = 0x20
	typePong     msgType = 0x21
	typeShutdown msgType = 0x22
	typeGoodbye  msgType = 0x23
	typeLog      msgType = 0x24
	typeNotify   msgType = 0x25

	typeGrease msgType = 0x30 // the first of those that never get a meaning
	typePad    msgType = 0x3E
)

var typeNames = map[msgType]string{
	typeHello: "hello", typeWelcome: "welcome", typeRefuse: "refuse", typeStarting: "starting", typeReady: "ready", typeInitError: "init_error",
	typeCall: "call", typeStarted: "started", typeReply: "reply", typeError: "error", typeCancel: "cancel", typeProgress: "progress",
	typeData: "data", typeCredit: "credit", typeEnd: "end", typeReset: "reset",
	typePing: "ping", typePong: "pong", typeShutdown: "shutdown", typeGoodbye: "goodbye", typeLog: "log", typeNotify: "notify", typePad: "pad",
}

func typeName(t msgType) string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return fmt.Sprintf("type %#02x", t)
}

// EnvWorker and EnvSelf are the variables with which a host marks the processes it starts: docs/protocol.md, section 10.
const (
	EnvWorker = "STDCREW_WORKER"
	EnvSelf   = "STDCREW_SELF"
)

// lead is the room that a message keeps in front of itself for its first header and, if it is cut, its total length.
const lead = framing.HeaderSize + framing.TotalSize

// message is an encoded message behind lead bytes of room, and where it goes.
type message struct {
	buf   []byte
	tail  []byte // the rest, if it was there as bytes: its owner's, and not copied
	typ   msgType
	flags framing.Flags
}

func (m *message) size() int { return len(m.buf) - lead + len(m.tail) }

// cut says whether the message needs several frames for that receiver.
func (m *message) cut(maxFrame int) bool { return m.size() > maxFrame-framing.TotalSize }

// pending is how much may wait to be written before the message, or its first part, joins.
func (m *message) pending(maxFrame int) int {
	if m.cut(maxFrame) {
		return bulkPending
	}
	return maxPending
}

// whole returns the message as one frame, in two halves.
func (m *message) whole(id uint64) (frame, tail []byte) {
	frame = m.buf[framing.TotalSize:]
	framing.Header{Type: m.typ, Flags: m.flags, Length: uint32(m.size()), ID: id}.Put(frame)
	return frame, m.tail
}

// part returns the frame, in two halves, of the message's n bytes from at, which counts from the beginning of buf. Its header is written over
// bytes in front of them, which have been sent.
func (m *message) part(at, n int, h framing.Header) (frame, tail []byte) {
	h.Length = uint32(n)
	if at >= len(m.buf) {
		frame = m.buf[:framing.HeaderSize]
		tail = m.tail[at-len(m.buf):][:n]
	} else {
		n = min(n, len(m.buf)-at)
		frame = m.buf[at-framing.HeaderSize : at+n]
		tail = m.tail[:int(h.Length)-n]
	}
	h.Put(frame)
	return frame, tail
}
