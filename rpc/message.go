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
	typ   msgType
	flags framing.Flags
}

func (m *message) size() int { return len(m.buf) - lead }

// cut says whether the message needs several frames for that receiver.
func (m *message) cut(maxFrame int) bool { return m.size() > maxFrame-framing.TotalSize }

// pending is how much may wait to be written before the message, or its first part, joins.
func (m *message) pending(maxFrame int) int {
	if m.cut(maxFrame) {
		return bulkPending
	}
	return maxPending
}

// whole returns the message as one frame.
func (m *message) whole(id uint64) []byte {
	frame := m.buf[framing.TotalSize:]
	framing.Header{Type: m.typ, Flags: m.flags, Length: uint32(m.size()), ID: id}.Put(frame)
	return frame
}
