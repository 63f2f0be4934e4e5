package framing

// direct is the size of payload, in bytes, from which on what has not come with the header is read straight to where it stays. Below that it is
// cheaper to read whatever there is, the frames behind it too, and copy.
const direct = 16 << 10

// Reader makes messages of the bytes of a stream. It is a [Buffer] and an [Assembler], and has large payloads read straight into the message that
// they belong to. It belongs to one reader at a time.
type Reader struct {
	buffer *Buffer
	parts  *Assembler

	// The frame whose payload is being read past the buffer.
	target *partial // nil: none is
	header Header
	rest   int    // bytes of its payload that are still to come
	into   []byte // where they go; nil: nowhere, the message is dropped
}

// NewReader returns a Reader for frames of at most maxFrame bytes of payload and messages of at most maxMessage bytes. want is that of
// [NewAssembler].
func NewReader(maxFrame, maxMessage int, want func(Header) (bool, error)) *Reader {
	return &Reader{buffer: NewBuffer(maxFrame), parts: NewAssembler(maxMessage, want)}
}

// SetLimits changes the limits for the frames not yet returned and for the messages that begin from here on.
func (r *Reader) SetLimits(maxFrame, maxMessage int) {
	r.buffer.SetMaxFrame(maxFrame)
	r.parts.SetMaxMessage(maxMessage)
}

// Space returns room for the next read, never empty. It invalidates the messages that Next returned, but for those that are Owned.
func (r *Reader) Space() []byte {
	switch {
	case r.target == nil:
		return r.buffer.Space()
	case r.into != nil:
		return r.into
	default:
		space := r.buffer.Space()
		return space[:min(len(space), r.rest)]
	}
}

// Filled says that the first n bytes of Space were read.
func (r *Reader) Filled(n int) {
	if r.target == nil {
		r.buffer.Filled(n)
		return
	}
	r.rest -= n
	if r.into != nil {
		r.into = r.into[n:]
	} else {
		r.buffer.filled = n == len(r.buffer.buf)
	}
}

// Next returns the next message; ok is false when more bytes are needed. A Body that is not Owned is valid until Space. The errors are
// violations of the protocol, after which the stream is of no use.
func (r *Reader) Next() (m Message, ok bool, err error) {
	for {
		if r.target != nil {
			if r.rest > 0 {
				return Message{}, false, nil
			}
			if m, ok = r.arrived(); ok {
				return m, true, nil
			}
		}
		h, payload, whole, err := r.buffer.Next()
		switch {
		case err != nil:
			return Message{}, false, err
		case whole:
			if m, ok, err = r.parts.Add(h, payload); ok || err != nil {
				return m, ok, err
			}
		default:
			return Message{}, false, r.divert()
		}
	}
}

// divert has the rest of the frame at the front read past the buffer, if it is large.
func (r *Reader) divert() error {
	have := r.buffer.Rest()
	if len(have) < HeaderSize {
		return nil
	}
	h, err := Parse(have)
	switch {
	case err != nil:
		return err
	case h.Length < direct:
		return nil
	case len(have) < HeaderSize+TotalSize && h.Flags&More != 0 && r.parts.opened(h) == nil:
		return nil // it begins with a length that has not come
	}
	rest := HeaderSize + int(h.Length) - len(have)
	p, payload, err := r.parts.expect(h, have[HeaderSize:])
	if err != nil {
		return err
	}
	r.target, r.header, r.rest, r.into = p, h, rest, nil
	if !p.dropped {
		r.into = p.room(payload, rest)
	}
	r.buffer.Discard(len(have))
	r.buffer.filled = false // a larger buffer would only be copied from
	return nil
}

// arrived takes note of the end of a frame that was read past the buffer.
func (r *Reader) arrived() (m Message, done bool) {
	p := r.target
	r.target, r.into = nil, nil
	return r.parts.end(r.header, p)
}

// Pending is how many bytes of a message's frame have come that is not complete.
func (r *Reader) Pending() int {
	if r.target != nil {
		return HeaderSize + int(r.header.Length) - r.rest
	}
	return len(r.buffer.Rest())
}

// Rest returns the bytes that are not part of a message yet, valid until Space. It is for what stands in front of the first frame.
func (r *Reader) Rest() []byte { return r.buffer.Rest() }

// Discard consumes the next n bytes of Rest, at most all that are there.
func (r *Reader) Discard(n int) { r.buffer.Discard(n) }

// Shrink gives the buffer's memory back if all was consumed. Messages that Next returned stay valid.
func (r *Reader) Shrink() { r.buffer.Shrink() }

// Drop forgets an open message, whose sender gave it up, and reports whether there was one.
func (r *Reader) Drop(id uint64, typ uint8) bool { return r.parts.Drop(id, typ) }

// Taken is the number of open messages of that type for which memory is taken.
func (r *Reader) Taken(typ uint8) int { return r.parts.Taken(typ) }
