package rpc

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// seeded is a source of its own for each test, with the seed in the test's output.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Every first byte that MessagePack has, with what it announces.
func TestEveryFormOfHeader(t *testing.T) {
	be := func(first byte, width int, n uint64) []byte {
		b := binary.BigEndian.AppendUint64(nil, n)
		return append([]byte{first}, b[8-width:]...)
	}
	with := func(head []byte, bodyLen int) []byte { return append(head, make([]byte, bodyLen)...) }
	for _, c := range []struct {
		b    []byte
		want token
	}{
		{[]byte{0x00}, token{kind: unsigned, n: 0, size: 1}},
		{[]byte{0x7f}, token{kind: unsigned, n: 127, size: 1}},
		{[]byte{0x80}, token{kind: mapping, n: 0, size: 1}},
		{[]byte{0x8f}, token{kind: mapping, n: 15, size: 1}},
		{[]byte{0x90}, token{kind: array, n: 0, size: 1}},
		{[]byte{0x9f}, token{kind: array, n: 15, size: 1}},
		{[]byte{0xa0}, token{kind: text, n: 0, start: 1, size: 1}},
		{with([]byte{0xbf}, 31), token{kind: text, n: 31, start: 1, size: 32}},
		{[]byte{0xc0}, token{kind: scalar, size: 1}},
		{[]byte{0xc2}, token{kind: scalar, size: 1}},
		{[]byte{0xc3}, token{kind: scalar, size: 1}},
		{with(be(0xc4, 1, 200), 200), token{kind: blob, n: 200, start: 2, size: 202}},
		{with(be(0xc5, 2, 300), 300), token{kind: blob, n: 300, start: 3, size: 303}},
		{with(be(0xc6, 4, 70000), 70000), token{kind: blob, n: 70000, start: 5, size: 70005}},
		{with(be(0xc7, 1, 7), 8), token{kind: blob, n: 7, start: 3, size: 10}},
		{with(be(0xc8, 2, 300), 301), token{kind: blob, n: 300, start: 4, size: 304}},
		{with(be(0xc9, 4, 70000), 70001), token{kind: blob, n: 70000, start: 6, size: 70006}},
		{be(0xca, 4, 1), token{kind: scalar, size: 5}},
		{be(0xcb, 8, 1), token{kind: scalar, size: 9}},
		{be(0xcc, 1, 200), token{kind: unsigned, n: 200, size: 2}},
		{be(0xcd, 2, 60000), token{kind: unsigned, n: 60000, size: 3}},
		{be(0xce, 4, math.MaxUint32), token{kind: unsigned, n: math.MaxUint32, size: 5}},
		{be(0xcf, 8, math.MaxUint64), token{kind: unsigned, n: math.MaxUint64, size: 9}},
		{be(0xd0, 1, 200), token{kind: scalar, size: 2}},
		{be(0xd1, 2, 1), token{kind: scalar, size: 3}},
		{be(0xd2, 4, 1), token{kind: scalar, size: 5}},
		{be(0xd3, 8, 1), token{kind: scalar, size: 9}},
		{with([]byte{0xd4}, 2), token{kind: blob, n: 1, start: 2, size: 3}},
		{with([]byte{0xd5}, 3), token{kind: blob, n: 2, start: 2, size: 4}},
		{with([]byte{0xd6}, 5), token{kind: blob, n: 4, start: 2, size: 6}},
		{with([]byte{0xd7}, 9), token{kind: blob, n: 8, start: 2, size: 10}},
		{with([]byte{0xd8}, 17), token{kind: blob, n: 16, start: 2, size: 18}},
		{with(be(0xd9, 1, 200), 200), token{kind: text, n: 200, start: 2, size: 202}},
		{with(be(0xda, 2, 300), 300), token{kind: text, n: 300, start: 3, size: 303}},
		{with(be(0xdb, 4, 70000), 70000), token{kind: text, n: 70000, start: 5, size: 70005}},
		{be(0xdc, 2, 60000), token{kind: array, n: 60000, size: 3}},
		{be(0xdd, 4, math.MaxUint32), token{kind: array, n: math.MaxUint32, size: 5}},
		{be(0xde, 2, 60000), token{kind: mapping, n: 60000, size: 3}},
		{be(0xdf, 4, math.MaxUint32), token{kind: mapping, n: math.MaxUint32, size: 5}},
		{[]byte{0xe0}, token{kind: scalar, size: 1}},
		{[]byte{0xff}, token{kind: scalar, size: 1}},
	} {
		got, err := next(append(c.b, 0xAA)) // with something behind it
		require.NoError(t, err, "% x", c.b[:min(len(c.b), 10)])
		require.Equal(t, c.want, got, "% x", c.b[:min(len(c.b), 10)])
		for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 9, got.size - 1} { // cut short anywhere
			if n < got.size {
				_, err := next(c.b[:n])
				require.ErrorIs(t, err, errTruncated, "%d bytes of % x", n, c.b[:min(len(c.b), 10)])
			}
		}
	}
	_, err := next([]byte{0xc1, 0, 0})
	require.Error(t, err, "the byte that MessagePack never uses")
}

// randomValue is a value of any shape, as the library encodes it with either of its ways to write integers.
func randomValue(r *rand.Rand, depth int) any {
	sizes := []int{0, 1, 15, 16, 31, 32, 255, 256, 300}
	size := sizes[r.IntN(len(sizes))]
	if depth == 0 || r.IntN(3) > 0 {
		return [...]func() any{
			func() any { return nil },
			func() any { return r.IntN(2) == 0 },
			func() any { return int64(r.Uint64()) >> r.IntN(64) },
			func() any { return r.Uint64() >> r.IntN(64) },
			func() any { return uint16(r.Uint32()) },
			func() any { return int8(r.Uint32()) },
			func() any { return r.Float64() },
			func() any { return r.Float32() },
			func() any { return strings.Repeat("s", size) },
			func() any { return make([]byte, size) },
			func() any { return time.Unix(r.Int64N(1<<35), r.Int64N(1e9)).UTC() },
		}[r.IntN(11)]()
	}
	if size = min(size, 20); r.IntN(2) == 0 {
		list := make([]any, size)
		for i := range list {
			list[i] = randomValue(r, depth-1)
		}
		return list
	}
	m := make(map[string]any, size)
	for range size {
		m[strings.Repeat("k", r.IntN(40))] = randomValue(r, depth-1)
	}
	return m
}

// What our reader takes for one value is what the library takes for one.
func TestValuesEndWhereTheLibrarySays(t *testing.T) {
	r := seeded(t)
	for range 600 {
		var out bytes.Buffer
		e := msgpack.NewEncoder(&out)
		e.UseCompactInts(r.IntN(2) == 0)
		e.UseCompactFloats(r.IntN(2) == 0)
		require.NoError(t, e.Encode(randomValue(r, 3)))
		size := out.Len()
		out.WriteString("\x93\x01\x02\x03")
		value, rest, err := firstValue(out.Bytes())
		require.NoError(t, err)
		require.Equal(t, size, len(value))
		require.Equal(t, "\x93\x01\x02\x03", string(rest))

		in := bytes.NewReader(value)
		require.NoError(t, msgpack.NewDecoder(in).Skip())
		require.Zero(t, in.Len())
		require.NoError(t, checkValue(value))
		if size > 1 {
			require.Error(t, checkValue(value[:r.IntN(size-1)+1]), "cut short")
		}
		require.ErrorIs(t, checkValue(append(value[:size:size], 0)), errTrailing)
	}
}

// Our headers say what the library's own reading functions say.
func TestHeadersMeanWhatTheLibrarySays(t *testing.T) {
	r := seeded(t)
	for range 5000 {
		b := make([]byte, 1+r.IntN(20), 400)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		b = b[:400] // enough for most lengths
		got, err := next(b)
		if err != nil {
			continue
		}
		d := msgpack.NewDecoder(bytes.NewReader(b))
		switch got.kind {
		case unsigned:
			n, err := d.DecodeUint64()
			require.NoError(t, err)
			require.Equal(t, n, got.n)
		case text:
			s, err := d.DecodeString()
			require.NoError(t, err)
			require.Equal(t, s, string(b[got.start:got.size]))
		case array:
			n, err := d.DecodeArrayLen()
			require.NoError(t, err)
			require.Equal(t, uint32(n), uint32(got.n))
		case mapping:
			n, err := d.DecodeMapLen()
			require.NoError(t, err)
			require.Equal(t, uint32(n), uint32(got.n))
		case blob:
			if b[0] >= 0xc7 {
				_, n, err := d.DecodeExtHeader()
				require.NoError(t, err)
				require.Equal(t, uint64(n), got.n)
				continue
			}
			body, err := d.DecodeBytes()
			require.NoError(t, err)
			require.Equal(t, body, b[got.start:got.size])
		default:
			_, err := d.DecodeInterface()
			require.NoError(t, err)
		}
	}
}

func TestAppendIsWhatTheLibraryWrites(t *testing.T) {
	for _, n := range []uint64{0, 1, 127, 128, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
		var out bytes.Buffer
		require.NoError(t, msgpack.NewEncoder(&out).EncodeUint(n))
		require.Equal(t, out.Bytes(), appendUint(nil, n), "%d", n)
	}
	for _, n := range []int{0, 1, 31, 32, 255, 256, 65535, 65536, 100000} {
		for _, v := range []any{strings.Repeat("x", n), bytes.Repeat([]byte{'y'}, n)} {
			want, err := msgpack.Marshal(v)
			require.NoError(t, err)
			got, err := appendValue([]byte("before"), v)
			require.NoError(t, err)
			require.True(t, bytes.Equal(append([]byte("before"), want...), got), "%T of %d bytes", v, n)
		}
	}
}
