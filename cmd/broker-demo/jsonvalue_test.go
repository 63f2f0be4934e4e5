package main

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

func TestEncodeJSON(t *testing.T) {
	tests := []struct{ text, want string }{
		{``, "\xc0"},
		{`null`, "\xc0"},
		{` true `, "\xc3"},
		{`7`, "\x07"},
		{`-1`, "\xff"},
		{`9223372036854775807`, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"},
		{`18446744073709551615`, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"},
		{`18446744073709551616`, "\xcb\x43\xf0\x00\x00\x00\x00\x00\x00"},
		{`1.5`, "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"},
		{`1e2`, "\xcb\x40\x59\x00\x00\x00\x00\x00\x00"},
		{`"ä"`, "\xa2ä"},
		{`[1, [2], {}]`, "\x93\x01\x91\x02\x80"},
		{`{"b": 1, "a": null}`, "\x82\xa1a\xc0\xa1b\x01"},
	}
	for _, test := range tests {
		got, err := encodeJSON(test.text)
		require.NoError(t, err, test.text)
		require.Equal(t, test.want, string(got), test.text)
	}
}

func TestEncodeJSONErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{`{`, "not JSON: it stops in the middle"},
		{`1 2`, "not JSON: more than one value"},
		{`1 }`, "not JSON: more than one value"},
		{`a`, "not JSON: invalid character 'a' looking for beginning of value"},
		{`[{"a": 1e999}]`, "the number 1e999 is too large"},
	}
	for _, test := range tests {
		_, err := encodeJSON(test.text)
		require.EqualError(t, err, test.want)
	}
}

func TestDecodeJSON(t *testing.T) {
	at := time.Date(2024, 2, 29, 12, 30, 0, 500, time.UTC)
	tests := []struct {
		value any
		want  string
	}{
		{nil, `null`},
		{true, `true`},
		{-5, `-5`},
		{uint64(math.MaxUint64), `18446744073709551615`},
		{1.5, `1.5`},
		{float32(0.5), `0.5`},
		{math.NaN(), `"NaN"`},
		{math.Inf(-1), `"-Inf"`},
		{float32(math.Inf(1)), `"+Inf"`},
		{"<ä\n>", `"<ä\n>"`},
		{[]byte{0, 255}, `"AP8="`},
		{[]any{1, []string{}, nil}, `[1,[],null]`},
		{map[string]any{"a": map[string]int{}}, `{"a":{}}`},
		{map[int]string{-1: "x"}, `{"-1":"x"}`},
		{map[bool]int{true: 1}, `{"true":1}`},
		{at, `"2024-02-29T12:30:00.0000005Z"`},
		{msgpack.RawMessage("\x82\xa1b\x01\xa1a\x02"), `{"b":1,"a":2}`},
		{msgpack.RawMessage("\xd5\x07ab"), `{"ext":7,"data":"YWI="}`},
		{msgpack.RawMessage("\xc7\x03\x85abc"), `{"ext":-123,"data":"YWJj"}`},
		{msgpack.RawMessage("\x81\x91\x01\x02"), `{"[1]":2}`},
	}
	for _, test := range tests {
		value, err := msgpack.Marshal(test.value)
		require.NoError(t, err)
		got, err := decodeJSON(value)
		require.NoError(t, err, "%v", test.value)
		require.Equal(t, test.want, string(got))
		require.True(t, json.Valid(got))
	}
}

func TestDecodeJSONOfHalfAValue(t *testing.T) {
	_, err := decodeJSON(msgpack.RawMessage("\x92\x01"))
	require.EqualError(t, err, "the reply cannot be shown as JSON: it stops in the middle")
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"a": [1, -2.5, "x", null, true, {"b": {}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		value, err := encodeJSON(text)
		if err != nil || text == "" {
			return
		}
		back, err := decodeJSON(value)
		require.NoError(t, err)
		value, err = encodeJSON(string(back))
		require.NoError(t, err)
		again, err := decodeJSON(value)
		require.NoError(t, err)
		require.Equal(t, string(back), string(again), "there and back")
	})
}
