package rpc

import (
	"encoding/binary"
	"errors"
	"math"
)

// errTruncated: a MessagePack value claims more bytes than there are.
var errTruncated = errors.New("MessagePack value is cut short")

// token is one MessagePack header: what it announces and where it ends.
type token struct {
	kind  tokenKind
	n     uint64 // value of an unsigned, bytes of a string or blob, elements of an array, pairs of a map
	size  int    // bytes up to what follows: the header, and the body of all but arrays and maps
	start int    // where the body of a string or blob begins
}

type tokenKind uint8

const (
	scalar   tokenKind = iota // nil, bool, float, negative integer
	unsigned                  // a non-negative integer
	text
	blob // bin and ext
	array
	mapping
)

// next reads the header at the front of b. It never looks behind b and allocates nothing.
func next(b []byte) (token, error) {
	if len(b) == 0 {
		return token{}, errTruncated
	}
	c := b[0]
	switch {
	case c <= 0x7f:
		return token{kind: unsigned, n: uint64(c), size: 1}, nil
	case c <= 0x8f:
		return token{kind: mapping, n: uint64(c & 0x0f), size: 1}, nil
	case c <= 0x9f:
		return token{kind: array, n: uint64(c & 0x0f), size: 1}, nil
	case c <= 0xbf:
		return body(b, text, uint64(c&0x1f), 1)
	case c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
		return token{kind: scalar, size: 1}, nil
	}
	return wide(b, c)
}

// leafSizes has the size of each value of which the first byte tells it, and that holds no others; 0 for all else, extensions too.
var leafSizes = func() (sizes [256]uint8) {
	for c := range sizes {
		t, err := next(append([]byte{byte(c)}, make([]byte, 32)...))
		if err == nil && (t.kind == scalar || t.kind == unsigned || t.kind == text && c <= 0xbf) {
			sizes[c] = uint8(t.size)
		}
	}
	return sizes
}()

// wide reads the headers whose length or value stands in further bytes.
func wide(b []byte, c byte) (token, error) {
	form := wideForms[c-0xc0]
	if form.width == 0 {
		return token{}, errors.New("0xC1 is not a MessagePack value")
	}
	head := 1 + int(form.width)
	if len(b) < head {
		return token{}, errTruncated
	}
	n := bigEndian(b[1:head])
	switch form.kind {
	case array, mapping, unsigned:
		return token{kind: form.kind, n: n, size: head}, nil
	case scalar:
		return token{kind: scalar, size: head}, nil
	}
	if form.fixed > 0 {
		return body(b, blob, uint64(form.fixed), 2) // fixext: the type, then the bytes
	}
	if form.ext {
		return body(b, blob, n, head+1)
	}
	return body(b, form.kind, n, head)
}

// wideForms describes the first bytes from 0xc0 on: how many bytes of length or value follow, and what they announce.
var wideForms = [0x20]struct {
	kind  tokenKind
	width uint8
	fixed uint8 // bytes of a fixext
	ext   bool
}{
	0x04: {kind: blob, width: 1}, 0x05: {kind: blob, width: 2}, 0x06: {kind: blob, width: 4},
	0x07: {kind: blob, width: 1, ext: true}, 0x08: {kind: blob, width: 2, ext: true}, 0x09: {kind: blob, width: 4, ext: true},
	0x0a: {kind: scalar, width: 4}, 0x0b: {kind: scalar, width: 8},
	0x0c: {kind: unsigned, width: 1}, 0x0d: {kind: unsigned, width: 2}, 0x0e: {kind: unsigned, width: 4}, 0x0f: {kind: unsigned, width: 8},
	0x10: {kind: scalar, width: 1}, 0x11: {kind: scalar, width: 2}, 0x12: {kind: scalar, width: 4}, 0x13: {kind: scalar, width: 8},
	0x14: {kind: blob, width: 1, fixed: 1}, 0x15: {kind: blob, width: 1, fixed: 2}, 0x16: {kind: blob, width: 1, fixed: 4},
	0x17: {kind: blob, width: 1, fixed: 8}, 0x18: {kind: blob, width: 1, fixed: 16},
	0x19: {kind: text, width: 1}, 0x1a: {kind: text, width: 2}, 0x1b: {kind: text, width: 4},
	0x1c: {kind: array, width: 2}, 0x1d: {kind: array, width: 4},
	0x1e: {kind: mapping, width: 2}, 0x1f: {kind: mapping, width: 4},
}

func bigEndian(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	default:
		return binary.BigEndian.Uint64(b)
	}
}

func body(b []byte, kind tokenKind, n uint64, start int) (token, error) {
	if n > math.MaxInt32 || int(n) > len(b)-start {
		return token{}, errTruncated
	}
	return token{kind: kind, n: n, start: start, size: start + int(n)}, nil
}

// bodyOf returns the bytes of a value that is nothing but a text or a blob and no extension; of any other one it returns the kind scalar.
func bodyOf(b []byte) ([]byte, tokenKind) {
	t, err := next(b)
	if err != nil || t.size != len(b) || t.kind != text && t.kind != blob || b[0] >= 0xc7 && b[0] <= 0xd8 {
		return nil, scalar
	}
	return b[t.start:], t.kind
}

func appendUint(b []byte, n uint64) []byte {
	switch {
	case n <= 0x7f:
		return append(b, byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
	}
}

func appendString(b []byte, s string) []byte {
	switch n := len(s); {
	case n <= 0x1f:
		b = append(b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		b = append(b, 0xd9, byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

func appendBytes(b, p []byte) []byte { return append(appendBytesHeader(b, len(p)), p...) }

func appendBytesHeader(b []byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(b, 0xc4, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xc5), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(n))
	}
}
