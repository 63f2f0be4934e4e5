package framing

import "fmt"

const (
	firstBuffer = 4 << 10  // an idle connection keeps no more than this
	fullBuffer  = 64 << 10 // what a busy one grows to for small frames: a pipe's default size
)

// Buffer collects the bytes of a stream and gives back whole frames. Its zero value accepts no payload; use NewBuffer.
// It belongs to one reader at a time.
type Buffer struct {
	buf        []byte
	start, end int // the bytes not yet consumed
	maxFrame   int
	filled     bool // the last read took all the room there was
}

// NewBuffer returns a Buffer for frames of at most maxFrame bytes of payload. It allocates nothing until it is used.
func NewBuffer(maxFrame int) *Buffer { return &Buffer{maxFrame: maxFrame} }

// SetMaxFrame changes the limit for the frames not yet returned.
func (b *Buffer) SetMaxFrame(n int) { b.maxFrame = n }

// Space returns room for the next read, never empty. It invalidates the payloads that Next returned.
func (b *Buffer) Space() []byte {
	frame, size := b.missing(), max(len(b.buf), firstBuffer)
	if b.filled && size < fullBuffer {
		size *= 2 // the stream had more than the last read asked for
	}
	b.filled = false
	if b.start == b.end {
		b.start, b.end = 0, 0
	}
	if size = max(size, frame); size > len(b.buf) || b.start+frame > len(b.buf) || b.end == len(b.buf) {
		b.move(size)
	}
	return b.buf[b.end:]
}

// missing is the size of the frame that is there in part, 0 where its header is not complete or not possible.
func (b *Buffer) missing() int {
	if b.end-b.start < HeaderSize {
		return 0
	}
	h, err := Parse(b.buf[b.start:b.end])
	if err != nil || int64(h.Length) > int64(b.maxFrame) {
		return 0 // Next reports it
	}
	return HeaderSize + int(h.Length)
}

// move puts the bytes not yet consumed to the front of a buffer of at least that size, with room behind them.
func (b *Buffer) move(size int) {
	if rest := b.end - b.start; rest >= size {
		size = rest + firstBuffer
	}
	to := b.buf
	if size > len(b.buf) {
		to = make([]byte, size)
	}
	b.end = copy(to, b.buf[b.start:b.end])
	b.buf, b.start = to, 0
}

// Filled says that the first n bytes of Space were read.
func (b *Buffer) Filled(n int) {
	b.end += n
	b.filled = b.end == len(b.buf)
}

// Next consumes and returns the next whole frame; ok is false when more bytes are needed. The payload is valid until Space.
// An impossible header or one over the limit gives a *HeaderError, again at every further call.
func (b *Buffer) Next() (h Header, payload []byte, ok bool, err error) {
	rest := b.buf[b.start:b.end]
	if len(rest) < HeaderSize {
		if len(rest) > 0 && rest[0] != Magic {
			return Header{}, nil, false, headerError("no frame begins here", rest)
		}
		return Header{}, nil, false, nil
	}
	h, err = Parse(rest)
	if err != nil {
		return Header{}, nil, false, headerError(err.(*HeaderError).Reason, rest)
	}
	if int64(h.Length) > int64(b.maxFrame) {
		return Header{}, nil, false, headerError(fmt.Sprintf("length %d is over the limit of %d", h.Length, b.maxFrame), rest)
	}
	size := HeaderSize + int(h.Length)
	if len(rest) < size {
		return Header{}, nil, false, nil
	}
	b.start += size
	return h, rest[HeaderSize:size:size], true, nil
}

// Rest returns the bytes not yet consumed, valid until Space.
func (b *Buffer) Rest() []byte { return b.buf[b.start:b.end] }

// Discard consumes the next n bytes, at most all that are there.
func (b *Buffer) Discard(n int) { b.start = min(b.start+n, b.end) }

// Shrink gives the memory back if all was consumed. The payloads that Next returned stay valid.
func (b *Buffer) Shrink() {
	if b.start == b.end && len(b.buf) > firstBuffer {
		b.buf, b.start, b.end, b.filled = nil, 0, 0, false
	}
}
