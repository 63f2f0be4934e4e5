package framing

import (
	"encoding/binary"
	"fmt"
	"math"
)

// HeaderSize is the size of a frame's header in bytes.
const HeaderSize = 16

// Magic is the first byte of every frame. It is not valid anywhere in UTF-8 and never used by MessagePack, so that text which strays
// into the stream is noticed in its first byte.
const Magic = 0xC1

// version stands in the two high bits of the header's second byte.
const version = 1 << 6

// MaxType is the largest frame type; six bits are left for it.
const MaxType = 1<<6 - 1

// Flags qualify a frame. Framing itself acts on More alone.
type Flags uint8

const (
	More        Flags = 1 << iota // further frames of the same message follow
	Ignorable                     // who does not know the type skips the frame
	WantStarted                   // on a call: the caller asks to be told when the handler starts
	Stream                        // on a call: data frames may follow
	NotRun                        // on an error: the handler was certainly not entered
)

// Header is the header of one frame. The zero value is a frame of type 0 without payload, which no side sends.
type Header struct {
	Type   uint8 // at most MaxType
	Flags  Flags
	Length uint32 // bytes of payload
	ID     uint64 // the call it belongs to; 0 for frames of the connection
}

// Put writes the header into the first HeaderSize bytes of b, which must have that many.
func (h Header) Put(b []byte) {
	_ = b[HeaderSize-1]
	first := uint64(Magic)<<56 | uint64(version|h.Type&MaxType)<<48 | uint64(h.Flags)<<40 | uint64(h.Length)
	first |= uint64(fold(first^h.ID)) << 32
	binary.BigEndian.PutUint64(b, first)
	binary.BigEndian.PutUint64(b[8:], h.ID)
}

// Append appends the header to b.
func (h Header) Append(b []byte) []byte {
	b = append(b, make([]byte, HeaderSize)...)
	h.Put(b[len(b)-HeaderSize:])
	return b
}

// Parse reads a header from the first HeaderSize bytes of b, which must have that many. A wrong magic, version or check byte gives a
// *HeaderError that quotes b.
func Parse(b []byte) (Header, error) {
	first, id := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:HeaderSize])
	switch {
	case first>>56 != Magic:
		return Header{}, headerError("no frame begins here", b)
	case first>>48&^MaxType&0xFF != version:
		return Header{}, headerError("unknown frame version", b)
	case fold(first^id) != 0:
		return Header{}, headerError("check byte does not match", b)
	}
	return Header{Type: uint8(first>>48) & MaxType, Flags: Flags(first >> 40), Length: uint32(first), ID: id}, nil
}

// fold is the exclusive or of the eight bytes of x.
func fold(x uint64) byte {
	x ^= x >> 32
	x ^= x >> 16
	return byte(x ^ x>>8)
}

// maxQuote bounds the bytes that an error quotes.
const maxQuote = 64

// HeaderError says that the bytes at the place of a header cannot be one. The stream is lost: there is no way to find the next frame.
type HeaderError struct {
	Reason string
	Bytes  []byte // what stood there, at most 64 bytes
}

func headerError(reason string, b []byte) *HeaderError {
	return &HeaderError{Reason: reason, Bytes: append([]byte(nil), b[:min(len(b), maxQuote)]...)}
}

func (e *HeaderError) Error() string {
	return fmt.Sprintf("impossible frame header %q: %s; did something print to stdout?", e.Bytes, e.Reason)
}

// Limits of what a side may set as its largest frame and message, in bytes.
const (
	MinFrame       = 1 << 10
	MaxFrame       = 16 << 20
	MaxMessage     = math.MaxInt32
	DefaultFrame   = 256 << 10
	DefaultMessage = 16 << 20
)
