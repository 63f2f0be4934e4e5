package rpc_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
)

// wireMessage is what a message means, as the JSON of testdata/wire says it; the format is explained there.
type wireMessage struct {
	Direction string     `json:"direction"`
	Type      string     `json:"type"`
	Code      uint8      `json:"code"`
	Flags     []string   `json:"flags"`
	ID        uint64     `json:"id"`
	Payload   []wirePart `json:"payload"`
}

// wirePart is one part of a payload; exactly one field is there.
type wirePart struct {
	ASCII string          `json:"ascii,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
	Bytes string          `json:"bytes,omitempty"` // hexadecimal
}

// wireEntry is one message of a file: what it means, and its frames.
type wireEntry struct {
	about  []string
	json   string
	frames [][]byte
}

func (e wireEntry) bytes() []byte { return bytes.Join(e.frames, nil) }

const (
	toWorker   = "H>W"
	toHost     = "W>H"
	lineOfWire = 32 // bytes
)

// render writes entries as a file holds them.
func render(entries []wireEntry) string {
	var b strings.Builder
	for i, e := range entries {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, line := range e.about {
			fmt.Fprintln(&b, "#", line)
		}
		fmt.Fprintln(&b, "message", e.json)
		for _, f := range e.frames {
			fmt.Fprintf(&b, "header  % x\n", f[:framing.HeaderSize])
			for rest := f[framing.HeaderSize:]; len(rest) > 0; rest = rest[min(lineOfWire, len(rest)):] {
				fmt.Fprintf(&b, "payload % x\n", rest[:min(lineOfWire, len(rest))])
			}
		}
	}
	return b.String()
}

// readWire reads a file of testdata/wire.
func readWire(t testing.TB, path string) (entries []wireEntry) {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var about []string
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		where := fmt.Sprintf("%s:%d", path, n+1)
		switch word {
		case "":
			continue
		case "#":
			about = append(about, rest)
			continue
		case "message":
			entries = append(entries, wireEntry{about: about, json: rest})
			about = nil
			continue
		}
		require.NotEmpty(t, entries, where)
		e := &entries[len(entries)-1]
		b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		require.NoError(t, err, where)
		switch word {
		case "header":
			require.Len(t, b, framing.HeaderSize, where)
			e.frames = append(e.frames, b)
		case "payload":
			require.NotEmpty(t, e.frames, where)
			e.frames[len(e.frames)-1] = append(e.frames[len(e.frames)-1], b...)
		default:
			require.Fail(t, "unknown word", "%s: %s", where, word)
		}
	}
	return entries
}

// flagNames are those of docs/protocol.md, section 2.
var flagNames = []struct {
	flag framing.Flags
	name string
}{{framing.Ignorable, "IGNORABLE"}, {framing.WantStarted, "WANT_STARTED"}, {framing.Stream, "STREAM"}, {framing.NotRun, "NOT_RUN"}}

// understand says in JSON what the frames of one message mean, by the tables of docs/protocol.md and without the decoders of the package.
func understand(t testing.TB, direction string, frames [][]byte, names map[uint8]wireType) string {
	parts := framing.NewAssembler(framing.MaxMessage, nil)
	for i, f := range frames {
		h, err := framing.Parse(f)
		require.NoError(t, err)
		require.EqualValues(t, len(f)-framing.HeaderSize, h.Length)
		m, done, err := parts.Add(h, f[framing.HeaderSize:])
		require.NoError(t, err)
		require.Equal(t, i == len(frames)-1, done)
		if done {
			return describe(t, direction, m, names)
		}
	}
	require.Fail(t, "no frames")
	return ""
}

func describe(t testing.TB, direction string, m framing.Message, names map[uint8]wireType) string {
	w := wireMessage{Direction: direction, Type: names[m.Type].name, Code: m.Type, ID: m.ID, Flags: []string{}, Payload: []wirePart{}}
	if w.Type == "" {
		w.Type = "unassigned"
	}
	for _, f := range flagNames {
		if m.Flags&f.flag != 0 {
			w.Flags = append(w.Flags, f.name)
		}
	}
	body := m.Body
	if m.Type == hello {
		w.Payload = append(w.Payload, wirePart{ASCII: string(body[:len("stdcrew")])})
		body = body[len("stdcrew"):]
	}
	if m.Type == ping || m.Type == pong || m.Type >= 0x2A {
		if len(body) > 0 {
			w.Payload = append(w.Payload, wirePart{Bytes: hex.EncodeToString(body)})
		}
		return compactJSON(t, w)
	}
	for in := bytes.NewReader(body); in.Len() > 0; {
		w.Payload = append(w.Payload, wirePart{Value: json.RawMessage(valueJSON(t, msgpack.NewDecoder(in)))})
	}
	return compactJSON(t, w)
}

// compactJSON is v in one line, with > as it is.
func compactJSON(t testing.TB, v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(v))
	return strings.TrimSpace(b.String())
}

// valueJSON reads one MessagePack value as JSON with the keys of maps in their order. A bin is an object with the one key "bin".
func valueJSON(t testing.TB, d *msgpack.Decoder) string {
	c, err := d.PeekCode()
	require.NoError(t, err)
	list := func(n int, err error, one func() string) string {
		require.NoError(t, err)
		items := make([]string, n)
		for i := range items {
			items[i] = one()
		}
		return strings.Join(items, ",")
	}
	switch {
	case c >= 0x80 && c <= 0x8f, c == 0xde, c == 0xdf:
		n, err := d.DecodeMapLen()
		return "{" + list(n, err, func() string { return valueJSON(t, d) + ":" + valueJSON(t, d) }) + "}"
	case c >= 0x90 && c <= 0x9f, c == 0xdc, c == 0xdd:
		n, err := d.DecodeArrayLen()
		return "[" + list(n, err, func() string { return valueJSON(t, d) }) + "]"
	}
	v, err := d.DecodeInterface()
	require.NoError(t, err)
	if b, ok := v.([]byte); ok {
		v = map[string]string{"bin": hex.EncodeToString(b)}
	}
	return compactJSON(t, v)
}

// object is a map whose keys have an order.
type object []any

// smallest is an unsigned integer in its shortest form.
type smallest uint64

// encode is one MessagePack value; integers have the width of their Go type, as the library writes them.
func encode(t testing.TB, v any) []byte {
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	switch v := v.(type) {
	case smallest:
		require.NoError(t, e.EncodeUint(uint64(v)))
	case object:
		require.NoError(t, e.EncodeMapLen(len(v)/2))
		for _, item := range v {
			b.Write(encode(t, item))
		}
	case []any:
		require.NoError(t, e.EncodeArrayLen(len(v)))
		for _, item := range v {
			b.Write(encode(t, item))
		}
	default:
		require.NoError(t, e.Encode(v))
	}
	return b.Bytes()
}
