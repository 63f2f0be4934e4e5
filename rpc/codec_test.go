package rpc

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

func reflectTypeOf(v any) reflect.Type { return reflect.TypeOf(v) }

type sample struct {
	Name  string            `msgpack:"name"`
	Tags  map[string]string `msgpack:"tags"`
	Data  []byte            `msgpack:"data"`
	Raw   msgpack.RawMessage
	When  time.Time
	Inner []*sample
}

func TestValuesSurvive(t *testing.T) {
	in := sample{
		Name: "one", Tags: map[string]string{"a": "b"}, Data: []byte{1, 2}, Raw: msgpack.RawMessage{0x93, 1, 2, 3},
		When: time.Unix(1e9, 5).UTC(), Inner: []*sample{nil, {Name: "two", Raw: msgpack.RawMessage{0x07}, When: time.Unix(0, 0).UTC()}},
	}
	b, err := appendValue(nil, &in)
	require.NoError(t, err)
	want, err := msgpack.Marshal(&in)
	require.NoError(t, err)
	require.Equal(t, want, b)
	var out sample
	require.NoError(t, decodeValue(b, &out))
	out.When, out.Inner[1].When = out.When.UTC(), out.Inner[1].When.UTC()
	require.Equal(t, in, out)
}

// What was decoded is the caller's own: the buffer that it came from is used again.
func TestDecodedValuesShareNothing(t *testing.T) {
	in := sample{Name: "name", Tags: map[string]string{"key": "value"}, Data: []byte("data"), Raw: msgpack.RawMessage{0xa3, 'r', 'a', 'w'}}
	type all struct {
		sample sample
		any    any
		raw    msgpack.RawMessage
		bytes  []byte
		text   string
		names  []string
	}
	decode := func(damage bool) (v all) {
		for _, c := range []struct{ from, into any }{
			{&in, &v.sample}, {&in, &v.any}, {&in, &v.raw},
			{[]byte("bytes"), &v.bytes}, {"text", &v.text}, {[]string{"a", "b"}, &v.names},
		} {
			b, err := appendValue(nil, c.from)
			require.NoError(t, err)
			require.NoError(t, decodeValue(b, c.into))
			if damage {
				copy(b, bytes.Repeat([]byte{'#'}, len(b)))
			}
		}
		return v
	}
	require.Equal(t, decode(false), decode(true))
}

func TestShortWaysDecodeLikeTheLibrary(t *testing.T) {
	for _, in := range []any{nil, "", "text", []byte{}, []byte("bytes"), strings.Repeat("s", 300), bytes.Repeat([]byte{1}, 70000)} {
		b, err := appendValue(nil, in)
		require.NoError(t, err)
		text, blob := "before", []byte("before")
		wantText, wantBlob := "before", []byte("before")
		require.NoError(t, decodeValue(b, &text))
		require.NoError(t, decodeValue(b, &blob))
		require.NoError(t, msgpack.Unmarshal(b, &wantText))
		require.NoError(t, msgpack.Unmarshal(b, &wantBlob))
		require.Equal(t, wantText, text, "%T", in)
		require.Equal(t, wantBlob, blob, "%T", in)
	}
	require.Error(t, decodeValue([]byte{0x01}, new(string)))
	require.Error(t, decodeValue([]byte{0x01}, new([]byte)))
}

// A panic in the library, or in a type's own methods, is an error.
func TestP5_PanicsAreErrors(t *testing.T) {
	arrayAsKey := []byte{0x81, 0x91, 0x01, 0x02}
	require.Error(t, decodeValue(arrayAsKey, new(map[any]any)))
	require.Error(t, decodeValue([]byte{0x01}, new(panics)))
	_, err := appendValue(nil, panics{})
	require.ErrorContains(t, err, "at the disco")
	require.Error(t, decodeValue([]byte{0xa1, 'x'}, (*string)(nil)))
	require.Error(t, decodeValue([]byte{0xa1, 'x'}, (*msgpack.RawMessage)(nil)))
	require.Error(t, decodeValue([]byte{0xa1, 'x'}, "no pointer"))

	// and what is pooled works afterwards
	b, err := appendValue(nil, map[string]int{"a": 1})
	require.NoError(t, err)
	var out map[string]int
	require.NoError(t, decodeValue(b, &out))
	require.Equal(t, map[string]int{"a": 1}, out)
}

type panics struct{}

func (panics) EncodeMsgpack(*msgpack.Encoder) error  { panic("at the disco") }
func (*panics) DecodeMsgpack(*msgpack.Decoder) error { panic("at the disco") }

func TestRawMessagesAreChecked(t *testing.T) {
	for _, raw := range []msgpack.RawMessage{nil, {}, {0x92, 0x01}, {0x01, 0x02}, {0xc1}} {
		_, err := appendValue(nil, raw)
		require.ErrorContains(t, err, "raw message", "% x", []byte(raw))
	}
	b, err := appendValue([]byte{0xff}, msgpack.RawMessage{0x91, 0x01})
	require.NoError(t, err)
	require.Equal(t, []byte{0xff, 0x91, 0x01}, b)
}

func TestDiscardedValuesAreChecked(t *testing.T) {
	require.NoError(t, decodeValue([]byte{0x91, 0x01}, nil))
	require.ErrorIs(t, decodeValue([]byte{0x91}, nil), errTruncated)
	require.ErrorIs(t, decodeValue([]byte{0x01, 0x01}, nil), errTrailing)
	require.ErrorIs(t, decodeValue([]byte{0x01, 0x01}, new(int)), errTrailing)
}

func FuzzDecode(f *testing.F) {
	for _, b := range [][]byte{{0xdd, 0xff, 0xff, 0xff, 0xff}, {0x81, 0x91, 1, 2}, {0x92, 0xc0, 0xa1, 'x'}, {0xc7, 12, 0xff}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, into := range []any{nil, new(any), new([]big), new(sample), new(map[any]any), new(string), new(tree)} {
			used := allocated(func() { _ = decodeValue(b, into) })
			require.Less(t, used, uint64(256<<20), "%T", into)
		}
	})
}
