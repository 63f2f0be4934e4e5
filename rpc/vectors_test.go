package rpc_test

import (
	"strings"
	"testing"

	"github.com/stdcrew/stdcrew/framing"
)

// Types of messages that no other test sends.
const streamData, credit, streamEnd, streamReset, logLine, notify, grease, unknown = 0x18, 0x19, 0x1A, 0x1B, 0x24, 0x25, 0x30, 0x2A

// ascii, raw and value are the parts of a payload.
type (
	ascii string
	raw   []byte
	value struct{ v any }
)

// vector is one message of testdata/wire, as Go values. -update writes the files from them.
type vector struct {
	name      string
	about     string
	direction string
	typ       uint8
	flags     framing.Flags
	id        uint64
	payload   []any
	cut       int // payload bytes of a frame; 0: one frame
}

func (v *vector) entry(t testing.TB, names map[uint8]wireType) wireEntry {
	var body []byte
	for _, part := range v.payload {
		switch part := part.(type) {
		case ascii:
			body = append(body, part...)
		case raw:
			body = append(body, part...)
		case value:
			body = append(body, encode(t, part.v)...)
		}
	}
	e := wireEntry{about: strings.Split(v.about, "\n"), frames: v.split(body)}
	e.json = understand(t, v.direction, e.frames, names)
	return e
}

func (v *vector) split(body []byte) (frames [][]byte) {
	if v.cut == 0 {
		return [][]byte{frame(v.typ, v.flags, v.id, body)}
	}
	n := uint32(len(body))
	for body = append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...); len(body) > v.cut; body = body[v.cut:] {
		frames = append(frames, frame(v.typ, v.flags|framing.More, v.id, body[:v.cut]))
	}
	return append(frames, frame(v.typ, v.flags, v.id, body))
}

var longText = strings.Repeat("0123456789abcdef", 70)

func prelude(method string, budget, attempt smallest, metadata any) value {
	return value{[]any{method, budget, attempt, metadata}}
}

// Limits as they stand in every hello and welcome that says nothing else.
func limits(head ...any) object {
	return append(head, "max_frame", 262144, "max_message", 16777216, "window", 65536)
}

// vectors are all of them, in the order of docs/protocol.md.
var vectors = []vector{
	{name: "hello", about: "A worker introduces itself. The first message of every connection.", direction: toHost, typ: hello, payload: []any{
		ascii("stdcrew"), value{append(object{"protocol", []any{1, 1}, "sdk", "stdcrew-go/0.1.0", "pid", 4711,
			"inflight", 4, "methods", []any{"echo", "resize"}, "caps", []any{"cancel", "busy", "started"}}, limits()...)},
	}},
	{name: "hello-smallest", about: "A hello that leaves everything to its default.",
		direction: toHost, typ: hello, payload: []any{ascii("stdcrew"), value{object{}}}},
	{name: "hello-later", about: "A hello with a range of versions, integers in their shortest form, and a key that nobody knows yet: it is ignored.",
		direction: toHost, typ: hello, payload: []any{ascii("stdcrew"), value{object{
			"protocol", []any{smallest(1), smallest(3)}, "pid", smallest(4711), "color", "blue", "inflight", int8(-1), "max_frame", smallest(4096)}}}},
	{name: "welcome", about: "The host's answer to a hello.", direction: toWorker, typ: welcome, payload: []any{value{append(append(object{"protocol", 1,
		"host", "stdcrew-go", "inflight", 2}, limits()...), "slot", 3, "own_group", true, "caps", []any{"log"})}}},
	{name: "refuse", about: "The host cannot use the worker, whose hello spoke of versions 2 to 3, and closes.", direction: toWorker, typ: refuse,
		payload: []any{value{object{"code", "version", "message", "protocol 2 to 3 is not spoken here, 1 is"}}}},
	{name: "starting", about: "The worker still loads.",
		direction: toHost, typ: starting, payload: []any{value{object{"message", "loading the model: 40 %"}}}},
	{name: "ready", about: "The worker takes calls.", direction: toHost, typ: ready, payload: []any{value{object{}}}},
	{name: "ready-methods", about: "The worker takes calls, and names its methods only now.", direction: toHost, typ: ready,
		payload: []any{value{object{"methods", []any{"echo"}}}}},
	{name: "init_error", about: "The worker cannot start.", direction: toHost, typ: initError,
		payload: []any{value{object{"message", "the model is missing", "detail", "open model.bin: no such file or directory"}}}},

	{name: "call", about: "A first attempt without a limit of time and without metadata. Behind the array stands the argument.",
		direction: toWorker, typ: call, id: 2,
		payload: []any{prelude("echo", 0, 1, nil), value{"hello"}}},
	{name: "call-from-worker", about: "The worker calls the host: its ids are odd.", direction: toHost, typ: call, id: 1,
		payload: []any{prelude("lookup", 0, 1, nil), value{"key"}}},
	{name: "call-metadata", about: "A call with metadata.", direction: toWorker, typ: call, id: 2,
		payload: []any{prelude("echo", 0, 1, object{"trace", "4bf92f35"}), value{"hello"}}},
	{name: "call-budget", about: "A call whose caller waits for 2.5 seconds.", direction: toWorker, typ: call, id: 2,
		payload: []any{prelude("echo", 2_500_000, 1, nil), value{"hello"}}},
	{name: "call-attempt", about: "A call that is made for the second time.", direction: toWorker, typ: call, id: 2,
		payload: []any{prelude("echo", 0, 2, nil), value{"hello"}}},
	{name: "call-want-started", about: "A call whose caller asks to be told when the handler starts.", direction: toWorker, typ: call, id: 2,
		flags: framing.WantStarted, payload: []any{prelude("echo", 0, 1, nil), value{"hello"}}},
	{name: "call-stream", about: "A call on which data may follow in both directions.", direction: toWorker, typ: call, id: 2,
		flags: framing.Stream, payload: []any{prelude("echo", 0, 1, nil), value{"hello"}}},
	{name: "call-later", about: "A call as a later version may send it, with one element more: it is ignored. The metadata is empty, the argument is nil.",
		direction: toWorker, typ: call, id: 2, payload: []any{value{[]any{"echo", smallest(0), smallest(1), object{}, []any{smallest(7)}}}, value{nil}}},
	{name: "call-in-frames", about: "A call in two frames, to a worker whose max_frame is 1024. The first frame begins with the length of the whole message.",
		direction: toWorker, typ: call, id: 2, cut: 1024, payload: []any{prelude("echo", 0, 1, nil), value{longText}}},
	{name: "started", about: "The handler of call 2 has been entered.", direction: toHost, typ: started, id: 2},
	{name: "reply", about: "The result of call 2.", direction: toHost, typ: reply, id: 2, payload: []any{value{"hello"}}},
	{name: "reply-bin", about: "A result that is a bin; in JSON an object with the key bin.",
		direction: toHost, typ: reply, id: 2, payload: []any{value{[]byte{0, 0xC1, 0xFF}}}},
	{name: "reply-in-frames", about: "A result in two frames, to a host whose max_frame is 1024.", direction: toHost, typ: reply, id: 2, cut: 1024,
		payload: []any{value{longText}}},
	{name: "error", about: "The handler returned an error that has no code of its own.", direction: toHost, typ: failed, id: 2,
		payload: []any{value{object{"code", "error", "message", "disk is full"}}}},
	{name: "error-not-run", about: "No handler was entered.", direction: toHost, typ: failed, id: 2, flags: framing.NotRun,
		payload: []any{value{object{"code", "unknown_method", "message", `unknown method "echo"`}}}},
	{name: "error-shutting-down", about: "A handler that ran was cut off, because the worker ends; one that did not run would have NOT_RUN.",
		direction: toHost, typ: failed, id: 2, payload: []any{value{object{"code", "shutting_down", "message", "this side is shutting down: context canceled"}}}},
	{name: "error-data", about: "An error with a code of its own, to which the handler attached a value.", direction: toHost, typ: failed, id: 2,
		payload: []any{value{object{"code", "quota", "message", "no credit", "data", object{"left", smallest(0)}}}}},
	{name: "error-stack", about: "The handler panicked.", direction: toHost, typ: failed, id: 2,
		payload: []any{value{object{"code", "panic", "message", "index out of range", "stack", "goroutine 7 [running]:\nmain.resize()"}}}},
	{name: "cancel", about: "The caller of call 2 waits no longer.", direction: toWorker, typ: cancel, id: 2},
	{name: "cancel-reason", about: "The same, and why.", direction: toWorker, typ: cancel, id: 2, payload: []any{value{object{"reason", "deadline"}}}},
	{name: "progress", about: "How far call 2 is.", direction: toHost, typ: progress, id: 2, payload: []any{value{smallest(40)}}},
	{name: "data", about: "A piece of a stream on call 2.", direction: toHost, typ: streamData, id: 2, payload: []any{value{[]byte("chunk")}}},
	{name: "credit", about: "The receiver of a stream takes 65,536 bytes more.",
		direction: toWorker, typ: credit, id: 2, payload: []any{value{smallest(65536)}}},
	{name: "end", about: "No more data follows in this direction of call 2.", direction: toHost, typ: streamEnd, id: 2},
	{name: "reset", about: "The stream is broken in this direction of call 2.", direction: toHost, typ: streamReset, id: 2,
		payload: []any{value{object{"code", "io", "message", "connection to the camera lost"}}}},

	{name: "ping", about: "A sign of life is asked for. The payload is for the sender alone to read.",
		direction: toWorker, typ: ping, payload: []any{raw("\xcf\x80\x00\x00\x00\x00\x00\x00\x01")}},
	{name: "pong", about: "The answer, with the ping's payload.",
		direction: toHost, typ: pong, payload: []any{raw("\xcf\x80\x00\x00\x00\x00\x00\x00\x01")}},
	{name: "shutdown-drain", about: "Finish the calls that run within 5 seconds, take no others, say goodbye.", direction: toWorker, typ: shutdown,
		payload: []any{value{object{"mode", "drain", "ms", uint64(5000)}}}},
	{name: "shutdown-now", about: "Cancel the calls that run, say goodbye.",
		direction: toWorker, typ: shutdown, payload: []any{value{object{"mode", "now", "ms", uint64(250)}}}},
	{name: "goodbye", about: "Calls above 2 were not and will not be accepted.", direction: toHost, typ: goodbye,
		payload: []any{value{object{"reason", "max calls reached", "last_id", uint64(2)}}}},
	{name: "log", about: "A line for the host's log, level info.", direction: toHost, typ: logLine,
		payload: []any{value{object{"level", smallest(0), "message", "cache warm", "attrs", object{"entries", smallest(120), "took", "1.5s"}}}}},
	{name: "notify", about: "One way: a name in an array, then a value.",
		direction: toHost, typ: notify, payload: []any{value{[]any{"metrics"}}, value{object{"queue", smallest(3)}}}},
	{name: "pad", about: "Padding, such as a call that was withdrawn while it waited to be written. It is skipped.",
		direction: toWorker, typ: pad, flags: framing.Ignorable,
		payload: []any{raw("withdrawn")}},
	{name: "grease", about: "The ignorable frame of a type without a meaning that a host sends after its welcome.",
		direction: toWorker, typ: grease, flags: framing.Ignorable},
	{name: "unknown-ignorable", about: "A frame of a type that has no meaning yet. Because of its flag it is skipped, whatever its id and payload.",
		direction: toHost,
		typ:       unknown, flags: framing.Ignorable, id: 9, payload: []any{raw("\xc1 from the future")}},
}
