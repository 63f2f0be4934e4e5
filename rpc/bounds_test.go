package rpc

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

type big struct {
	Name   string
	Values [64]float64
}

type holder struct {
	Big *big
}

type tree struct {
	Left, Right *tree
	Load        [100]int64
}

// P5: a few bytes must not cost gigabytes, whatever they are decoded into.
func TestP5_BombsCostNothing(t *testing.T) {
	million := func(element byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0xdd}, 1<<20), bytes.Repeat([]byte{element}, 1<<20)...)
	}
	holders := binary.BigEndian.AppendUint32([]byte{0xdd}, 130_000)
	for range 130_000 {
		holders = append(holders, 0x81, 0xa3, 'B', 'i', 'g', 0x80) // {"Big": {}}
	}
	trees := bytes.Repeat([]byte{0x81, 0xa4, 'L', 'e', 'f', 't'}, 127)
	for name, b := range map[string][]byte{
		"array of four billion":     {0xdd, 0xff, 0xff, 0xff, 0xff},
		"map of four billion":       {0xdf, 0xff, 0xff, 0xff, 0xff},
		"bin of four billion":       {0xc6, 0xff, 0xff, 0xff, 0xff},
		"str of four billion":       {0xdb, 0xff, 0xff, 0xff, 0xff},
		"ext of four billion":       {0xc9, 0xff, 0xff, 0xff, 0xff},
		"a million nils":            million(0xc0),
		"a million empty arrays":    million(0x90),
		"a million empty maps":      million(0x80),
		"pointers to large structs": holders,
	} {
		for _, into := range []any{new([]big), new([]*big), new([]holder), new(map[string]big), new(map[int64]*big), new([][]big)} {
			used := allocated(func() { require.Error(t, decodeValue(b, into), "%s into %T", name, into) })
			require.Less(t, used, uint64(4<<20), "%s into %T", name, into)
		}
	}
	require.NoError(t, decodeValue(append(trees, 0x80), new(tree)), "127 levels")
}

// A tree of pointers takes memory like a slice does, though there is none in its type.
func TestP5_PointersOfATreeAreElements(t *testing.T) {
	var full func(depth int) []byte
	full = func(depth int) []byte {
		if depth == 0 {
			return []byte{0x80}
		}
		b := append([]byte{0x82, 0xa4}, "Left"...)
		b = append(b, full(depth-1)...)
		b = append(append(b, 0xa5), "Right"...)
		return append(b, full(depth-1)...)
	}
	require.NoError(t, decodeValue(full(10), new(tree)))
	b := full(17) // 131,072 leaves of 816 bytes
	used := allocated(func() { require.Error(t, decodeValue(b, new(tree))) })
	require.Less(t, used, uint64(4<<20))
}

func TestElementSize(t *testing.T) {
	size := func(v any) int { return int(elementSize(reflectTypeOf(v))) }
	bigSize := 16 + 64*8
	require.Zero(t, size(new(int)))
	require.Zero(t, size(new(big))-8, "its own array")
	require.Zero(t, size(new(time.Time)))
	require.Equal(t, 8, size(new([]int)))
	require.Equal(t, bigSize, size(new([]big)))
	require.Equal(t, 8+bigSize, size(new([]*big)))
	require.Equal(t, 8+bigSize, size(new([]holder)))
	require.Equal(t, 24, size(new([]time.Time)), "its location is none that a decoder sets")
	require.Equal(t, 16+bigSize+16, size(new(map[string]big)))
	require.Equal(t, bigSize, size(new(struct {
		A []struct{ B map[string][]big }
	})), "at any depth")
	require.Equal(t, bigSize, size(new(struct{ Next *[]big })))
	require.Positive(t, size(new(any)))
	type node struct {
		Next *node
		Kids []node
	}
	require.Positive(t, size(new(node)), "types that hold themselves end")
}

func TestLimitsOfAValue(t *testing.T) {
	nested := func(depth int) []byte { return append(bytes.Repeat([]byte{0x91}, depth-1), 0x90) }
	require.NoError(t, checkValue(nested(maxDepth)))
	require.ErrorContains(t, checkValue(nested(maxDepth+1)), "nested deeper than 128")
	maps := append(bytes.Repeat([]byte{0x81, 0x01}, maxDepth), 0x80)
	require.ErrorContains(t, checkValue(maps), "nested deeper than 128")
	require.Error(t, checkValue(bytes.Repeat([]byte{0x91}, 1<<20)), "without an end")

	nils := func(n uint32) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0xdd}, n), bytes.Repeat([]byte{0xc0}, int(n))...)
	}
	require.NoError(t, checkValue(nils(maxElements)))
	require.ErrorContains(t, checkValue(nils(maxElements+1)), "more than 1048576 elements")
	many := append([]byte{0x92}, append(nils(maxElements/2), nils(maxElements/2)...)...)
	require.ErrorContains(t, checkValue(many), "elements", "over all arrays together")
	_, err := inspect(nils(maxElements), 64)
	require.NoError(t, err)
	_, err = inspect(nils(maxElements), 65)
	require.ErrorContains(t, err, "need more than 64 MiB")

	require.ErrorIs(t, checkValue(nil), errTruncated)
	require.ErrorIs(t, checkValue([]byte{0x01, 0x02}), errTrailing)
	require.ErrorIs(t, checkValue([]byte{0x92, 0x01}), errTruncated)
	require.ErrorIs(t, checkValue([]byte{0x81, 0x01}), errTruncated)
	require.Error(t, checkValue([]byte{0x91, 0xc1}))
}

// The library takes the body of an extension for a map where it wants one. What is in there has not been checked.
func TestP5_ExtensionsAreNoMaps(t *testing.T) {
	type nested map[string]any
	for name, b := range map[string]string{
		"four billion pairs":      "\xd7\x05\xdf\xff\xff\xff\xff\x00\x00\x00",
		"of the type of time":     "\xd7\xff\xdf\xff\xff\xff\xff\x00\x00\x00",
		"in an element":           "\x81\xa1k\xc7\x05\x05\xde\xff\xff\x00\x00",
		"nil, then the rest":      "\xc7\x02\x05\xc0\x80",
		"empty, the next is none": "\xc7\x00\x05",
	} {
		for _, into := range []any{new(map[string]big), new(map[any]int), new(map[string]string), new(nested), new(map[string]map[string]int)} {
			used := allocated(func() { require.Error(t, decodeValue([]byte(b), into), "%s into %T", name, into) })
			require.Less(t, used, uint64(64<<10), "%s into %T", name, into)
		}
	}
	deep := append([]byte("\x81\xa1k"), bytes.Repeat([]byte{0x91}, 4<<20)...)
	body := append(binary.BigEndian.AppendUint32([]byte{0xc9}, uint32(len(deep))), 0x05)
	require.ErrorContains(t, decodeValue(append(body, deep...), new(nested)), "body of an extension", "nested deeper than any stack")
}

// Extensions whose type is known are read as ever, whatever their first byte is.
func TestTimesAmongMapsSurvive(t *testing.T) {
	type event struct {
		Tags map[string]string
		When time.Time
		Any  map[string]any
	}
	for _, nanos := range []int64{0, 1, 540e6, 600e6, 806e6, 932e6, 936e6, 999_999_999} { // a map, an array, nil, wide maps: as first bytes
		in := []event{{map[string]string{"a": "b"}, time.Unix(1e9, nanos), map[string]any{"at": time.Unix(1<<31, nanos)}}, {}}
		b, err := appendValue(nil, in)
		require.NoError(t, err)
		var out []event
		require.NoError(t, decodeValue(b, &out))
		require.True(t, in[0].When.Equal(out[0].When))
		require.True(t, in[0].Any["at"].(time.Time).Equal(out[0].Any["at"].(time.Time)))
	}
}

// What is skipped by its first byte alone is what a look at the whole header would skip.
func TestLeavesAreSkippedAsTheyAre(t *testing.T) {
	b := make([]byte, 40)
	for i := range b {
		b[i] = byte(31 * i)
	}
	skipped := 0
	for c := range 256 {
		b[0] = byte(c)
		for n := range b {
			w := walker{rest: b[:n]}
			if !w.skipLeaf() {
				require.Len(t, w.rest, n)
				continue
			}
			skipped++
			token, err := next(b[:n])
			require.NoError(t, err, "%#x", c)
			require.Contains(t, []tokenKind{scalar, unsigned, text}, token.kind, "%#x", c)
			require.Equal(t, b[token.size:n], w.rest, "%#x", c)
		}
	}
	require.Greater(t, skipped, 200*8)
}
