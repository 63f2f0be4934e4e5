package rpc

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
)

// mapMessages are the messages whose payload is one map, and what they are decoded into.
var mapMessages = []struct {
	typ  msgType
	into func() any
}{
	{typeWelcome, func() any { return new(Welcome) }},
	{typeRefuse, func() any { return new(RefusedError) }},
	{typeStarting, func() any { return new(startingMessage) }},
	{typeReady, func() any { return new(readyMessage) }},
	{typeInitError, func() any { return new(InitError) }},
	{typeError, func() any { return new(RemoteError) }},
	{typeShutdown, func() any { return new(shutdownMessage) }},
	{typeGoodbye, func() any { return new(goodbyeMessage) }},
}

// FuzzMessage: what decodes as a message encodes again, and the second time it decodes to the same.
func FuzzMessage(f *testing.F) {
	add := func(typ msgType, v any) {
		b, err := appendValue(nil, v)
		require.NoError(f, err)
		if typ == typeHello {
			b = append([]byte(greeting), b...)
		}
		f.Add(typ, b)
	}
	add(typeHello, &Hello{Protocol: [2]int{1, 1}, SDK: "s", PID: 7, InFlight: -1, Methods: []string{"a"}, Caps: []string{CapBusy}, MaxFrame: 1024})
	add(typeHello, map[string]any{})
	add(typeWelcome, &Welcome{Protocol: 1, Host: "h", InFlight: 8, MaxFrame: 1 << 20, MaxMessage: 1 << 30, Slot: 3, OwnGroup: true, Caps: []string{"log"}})
	add(typeRefuse, &RefusedError{Code: "version", Message: "m"})
	add(typeStarting, startingMessage{Message: "half"})
	add(typeReady, readyMessage{Methods: []string{"a", "b"}})
	add(typeInitError, &InitError{Message: "m", Detail: "d"})
	add(typeError, &RemoteError{Code: CodePanic, Message: "m", Data: msgpack.RawMessage{0x92, 0x01, 0xc0}, Stack: "s"})
	add(typeError, map[string]any{"data": nil, "later": map[string]any{"x": []int{1}}})
	add(typeShutdown, shutdownMessage{Mode: shutdownNow, Millis: 1 << 63})
	add(typeGoodbye, goodbyeMessage{Reason: "r", LastID: 1 << 63})
	f.Add(typeCall, []byte("\x94\xa4echo\x00\x01\xc0\xc3"))
	f.Add(typeCall, []byte("\x96\xa1m\xcd\x01\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x81\xa1k\xa1v\x90\x80\xc4\x01x"))
	f.Add(typePong, []byte("\xcf\x80\x00\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, typ msgType, b []byte) {
		kept := bytes.Clone(b)
		switch typ {
		case typeHello:
			checkHello(t, b)
		case typeCall:
			checkCall(t, b)
		default:
			for _, m := range mapMessages {
				if m.typ == typ {
					checkMap(t, b, m.into)
				}
			}
		}
		require.True(t, bytes.Equal(kept, b), "the payload was written to")
	})
}

func checkMap(t *testing.T, b []byte, into func() any) {
	first, second := into(), into()
	if decodeValue(b, first) != nil {
		return
	}
	again, err := appendValue(nil, first)
	require.NoError(t, err)
	require.NoError(t, decodeValue(again, second), "%q", again)
	if e, ok := first.(*RemoteError); ok {
		require.True(t, bytes.Equal(e.Data, second.(*RemoteError).Data))
		e.Data, second.(*RemoteError).Data = nil, nil // nil and empty are the same
	}
	require.Equal(t, plain(first), plain(second))
	if m, ok := first.(*shutdownMessage); ok {
		require.True(t, m.grace() >= 0 && m.grace() <= maxGrace)
	}
}

// plain makes empty and missing lists the same.
func plain(v any) any {
	s := reflect.ValueOf(v).Elem()
	for i := range s.NumField() {
		if f := s.Field(i); f.Kind() == reflect.Slice && f.CanSet() && f.Len() == 0 {
			f.SetZero()
		}
	}
	return v
}

func checkHello(t *testing.T, payload []byte) {
	whole := func(payload []byte) []byte {
		return append(framing.Header{Type: typeHello, Length: uint32(len(payload))}.Append(nil), payload...)
	}
	first, size, possible := helloAt(whole(payload))
	if !possible {
		return
	}
	require.Equal(t, framing.HeaderSize+len(payload), size)
	for _, cut := range []int{len(payload), len(payload) / 2, 1} { // while it is not complete it stays possible
		_, size, possible := helloAt(whole(payload)[:framing.HeaderSize+len(payload)-cut])
		require.True(t, possible && size == 0)
	}
	again, err := appendValue([]byte(greeting), &first)
	require.NoError(t, err)
	second, _, possible := helloAt(whole(again))
	require.True(t, possible)
	require.Equal(t, plain(&first), plain(&second))
	if first.check() == nil {
		require.True(t, first.MaxFrame >= framing.MinFrame && first.MaxFrame <= framing.MaxFrame && first.MaxMessage <= framing.MaxMessage)
		require.Positive(t, agree(first.InFlight, 0))
		require.LessOrEqual(t, agree(first.InFlight, 1<<40), maxInFlight)
	}
}

func checkCall(t *testing.T, b []byte) {
	first, second, aliased := new(incoming), new(incoming), new(incoming)
	if first.parse(framing.Message{ID: 2, Body: b}, nil) != nil {
		return
	}
	r := &first.req
	require.True(t, r.Method != "" && len(r.Method) <= maxMethodName && r.budget >= 0 && r.budget <= time.Duration(maxBudget)*time.Microsecond)
	require.True(t, bytes.HasSuffix(b, r.args))
	again := appendString([]byte{0x94}, r.Method)
	again = appendUint(again, uint64(r.budget/time.Microsecond))
	again = appendUint(again, uint64(r.Attempt))
	again, err := appendMetadata(again, r.Metadata)
	require.NoError(t, err)
	again = append(again, r.args...)
	require.NoError(t, second.parse(framing.Message{ID: 2, Body: again}, nil))
	require.NoError(t, aliased.parse(framing.Message{ID: 2, Body: again, Owned: true}, nil))
	for _, other := range []*Request{&second.req, &aliased.req} {
		require.Equal(t, r.Method, other.Method)
		require.Equal(t, r.Attempt, other.Attempt)
		require.Equal(t, r.budget, other.budget)
		require.True(t, bytes.Equal(r.args, other.args))
		require.Equal(t, len(r.Metadata), len(other.Metadata))
		for k, v := range r.Metadata {
			require.Equal(t, v, other.Metadata[k])
		}
	}
}

// targets are what bytes of the other side may be decoded into: each kind of type that can cost memory.
var targets = []func() any{
	func() any { return new(any) }, func() any { return new([]big) }, func() any { return new([]*big) }, func() any { return new([]holder) },
	func() any { return new(map[string]big) }, func() any { return new(map[any]int) }, func() any { return new(tree) }, func() any { return new(sample) },
	func() any { return new([][]string) }, func() any { return new([4]big) }, func() any { return new(map[string]map[int64][]byte) },
	func() any { return new([]byte) }, func() any { return new(string) }, func() any { return new([]any) },
}

// FuzzBounds: what the check of MessagePack admits decodes without a panic and takes no more memory than the check has reckoned with, what it
// refuses takes next to none.
func FuzzBounds(f *testing.F) {
	f.Add([]byte("\xdd\xff\xff\xff\xff"))
	f.Add([]byte("\xdf\xff\xff\xff\xff\xa1a"))
	f.Add([]byte("\xc6\xff\xff\xff\xff"))
	f.Add(append(binary.BigEndian.AppendUint32([]byte{0xdd}, 1<<20), bytes.Repeat([]byte{0xc0}, 1<<20)...)) // nils that become structs
	f.Add([]byte("\x81\x91\x01\x01"))                                                                       // an array as a map's key
	f.Add([]byte("\x81\x81\xc0\xc0\xc3"))
	f.Add([]byte("\x81\xa4Left\x82\xa5Right\x80\xa4Left\x80"))
	f.Add([]byte("\x92\x81\xa3Big\x81\xa4Name\xa1x\xc0"))
	f.Add([]byte("\x93\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xd6\xff\x00\x00\x00\x01\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01"))
	f.Add(append(bytes.Repeat([]byte{0x91}, 127), 0x90))
	f.Add([]byte("\xd7\x05\xdf\xff\xff\xff\xff\x00\x00\x00")) // a map's header in an extension
	f.Add([]byte("\x81\xa1k\xc7\x05\x05\xdf\x00\x10\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		into := targets
		if len(b) > 1<<16 { // into what it is refused for: the others take seconds, and a smaller one is as good
			into = targets[1:5]
		}
		for _, target := range into {
			v := target()
			reckoned := reckon(b, v)
			used := allocated(func() { _ = decodeValue(b, v) })
			require.LessOrEqual(t, used, reckoned, "bytes into %T", v)
		}
	})
}

// reckon is how much memory decoding may take: little for what is refused; otherwise its elements, which a decoder that lets slices grow
// allocates several times over, strings and errors by the payload's length, and some kilobytes for what is allocated once.
func reckon(b []byte, v any) uint64 {
	const once, perByte, growth = 256 << 10, 64, 4
	size := elementSize(reflect.TypeOf(v))
	w := walker{rest: b}
	if _, err := inspect(b, size); err != nil || w.value(0) != nil {
		return once
	}
	return once + perByte*uint64(len(b)) + growth*w.elements*uint64(size)
}
