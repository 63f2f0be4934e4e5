package framing_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
)

// found is what a Buffer made of a stream.
type found struct {
	frames []part
	rest   []byte
	err    error
}

// feed gives b to a Buffer in chunks of those sizes, over and over; a size of 0 stands for all that fits.
func feed(t *testing.T, b, sizes []byte, maxFrame int) (got found) {
	in := framing.NewBuffer(maxFrame)
	for round := 0; got.err == nil; round++ {
		for {
			h, payload, ok, err := in.Next()
			if got.err = err; !ok {
				break
			}
			require.LessOrEqual(t, len(payload), maxFrame)
			got.frames = append(got.frames, part{h, bytes.Clone(payload)})
		}
		if got.err != nil || len(b) == 0 {
			break
		}
		space := in.Space()
		require.NotEmpty(t, space)
		require.LessOrEqual(t, len(space)+len(in.Rest()), max(128<<10, framing.HeaderSize+maxFrame)+4<<10, "memory")
		if len(sizes) > 0 && sizes[round%len(sizes)] > 0 {
			space = space[:min(len(space), int(sizes[round%len(sizes)]))]
		}
		n := copy(space, b)
		in.Filled(n)
		b = b[n:]
	}
	got.rest = append(bytes.Clone(in.Rest()), b...)
	return got
}

// FuzzBuffer: which frames a stream holds does not depend on how it was cut into reads, and frames and rest together are the stream.
func FuzzBuffer(f *testing.F) {
	frames := func(payloads ...string) (b []byte) {
		for i, p := range payloads {
			b = framing.Header{Type: uint8(i), Flags: framing.Flags(i), Length: uint32(len(p)), ID: uint64(i) << 40}.Append(b)
			b = append(b, p...)
		}
		return b
	}
	whole := frames("", "payload", string(make([]byte, 500)))
	f.Add([]byte(nil), []byte(nil), uint32(0))
	f.Add(whole, []byte{1}, uint32(1<<20))
	f.Add(frames(string(make([]byte, 3000)), string(make([]byte, 3000)), string(make([]byte, 9000)), "end"), []byte{0, 255, 0}, uint32(9000))
	f.Add(whole[:len(whole)-7], []byte{0, 15, 16, 17}, uint32(500))
	f.Add(append(frames("one"), "panic: something printed\n"...), []byte{20}, uint32(100))
	f.Add(append(frames("one"), 0xC1), []byte{200, 1}, uint32(2))
	f.Add(append(frames("one"), "hi"...), []byte{0}, uint32(100))
	f.Add(frames(string(make([]byte, 9000)), "end"), []byte{20, 0}, uint32(9000))
	f.Add(framing.Header{Type: 2, Length: 1<<32 - 1}.Append(nil), []byte{3}, uint32(framing.MaxFrame))
	f.Fuzz(func(t *testing.T, b, sizes []byte, limit uint32) {
		maxFrame := int(limit % (framing.MaxFrame + 1))
		cut, whole := feed(t, b, sizes, maxFrame), feed(t, b, nil, maxFrame)
		require.Equal(t, whole.frames, cut.frames)
		require.Equal(t, whole.rest, cut.rest)
		require.Equal(t, whole.err == nil, cut.err == nil)
		again := []byte{}
		for _, p := range cut.frames {
			again = append(p.h.Append(again), p.payload...)
		}
		require.True(t, bytes.Equal(b, append(again, cut.rest...)), "frames and rest are not the stream")
		checkQuote(t, whole, cut)
	})
}

// checkQuote holds the errors to what they promise: the reason, and the bytes that stood there, or the first of them.
func checkQuote(t *testing.T, whole, cut found) {
	if whole.err == nil {
		require.True(t, len(cut.rest) == 0 || cut.rest[0] == framing.Magic, "%q is no beginning of a frame", cut.rest)
		require.Less(t, len(cut.rest), framing.HeaderSize+framing.MaxFrame)
		return
	}
	for _, got := range []found{whole, cut} {
		var wrong *framing.HeaderError
		require.True(t, errors.As(got.err, &wrong), "%v", got.err)
		require.NotEmpty(t, wrong.Bytes)
		require.LessOrEqual(t, len(wrong.Bytes), 64)
		require.True(t, bytes.HasPrefix(got.rest, wrong.Bytes), "%q is not what stands there", wrong.Bytes)
	}
	require.Equal(t, whole.err.(*framing.HeaderError).Reason, cut.err.(*framing.HeaderError).Reason)
}

// joined is what the model knows of an open message.
type joined struct {
	flags   framing.Flags
	body    []byte
	size    int
	dropped bool
}

type openKey struct {
	id  uint64
	typ uint8
}

// joiner does what an Assembler does, without a thought for memory.
type joiner struct {
	open    map[openKey]*joined
	limit   int
	skipped int
}

// The errors of the model; the Assembler's own say more.
var errWrong = errors.New("wrong")

// Messages with these ids are wanted by nobody, or a violation from their first frame on.
func unwanted(id uint64) bool { return id%5 == 4 }
func refused(id uint64) bool  { return id == 250 }

func (j *joiner) add(h framing.Header, payload []byte) (m framing.Message, done bool, err error) {
	key := openKey{h.ID, h.Type}
	more := h.Flags&framing.More != 0
	o := j.open[key]
	switch {
	case o == nil && !more && len(payload) > j.limit:
		return framing.Message{Type: h.Type, Flags: h.Flags, ID: h.ID, Dropped: true, Size: len(payload)}, true, nil
	case o == nil && !more:
		return framing.Message{Type: h.Type, Flags: h.Flags, ID: h.ID, Body: payload, Size: len(payload)}, true, nil
	case o == nil && (len(payload) < framing.TotalSize || payload[0] >= 0x80 || refused(h.ID)):
		return m, false, errWrong
	case o == nil:
		o = &joined{flags: h.Flags &^ framing.More, size: int(binary.BigEndian.Uint32(payload))}
		o.dropped = o.size > j.limit || unwanted(h.ID)
		if o.dropped {
			j.skipped++
		}
		if j.skipped > 1024 {
			return m, false, errWrong
		}
		j.open[key], payload = o, payload[framing.TotalSize:]
	}
	o.body = append(o.body, payload...)
	switch {
	case len(o.body) > o.size, !more && len(o.body) < o.size, more && len(payload) == 0:
		return m, false, errWrong
	case more:
		return m, false, nil
	}
	j.forget(key)
	m = framing.Message{Type: h.Type, Flags: o.flags, ID: h.ID, Body: o.body, Owned: true, Cut: true, Dropped: o.dropped, Size: o.size}
	if o.dropped {
		m.Body = nil
	}
	return m, true, nil
}

func (j *joiner) forget(key openKey) bool {
	o := j.open[key]
	if o == nil {
		return false
	}
	if delete(j.open, key); o.dropped {
		j.skipped--
	}
	return true
}

func (j *joiner) taken(typ uint8) (n int) {
	for key, o := range j.open {
		if key.typ == typ && !o.dropped {
			n++
		}
	}
	return n
}

// FuzzAssembler plays bytes as frames against an Assembler and a model of it. Each frame is four bytes: what it is, the id, the length of its
// payload and, for a first one, the length of the whole message.
func FuzzAssembler(f *testing.F) {
	const first, more, drop, limit = 0x01, 0x02, 0x04, 0x0c
	f.Add([]byte{0, 2, 9, 0, 0, 2, 0, 0})
	f.Add([]byte{first | more, 2, 5, 9, 0, 2, 4, 0})
	f.Add([]byte{first | more, 2, 5, 9, first | more, 3, 1, 2, 0, 3, 1, 0, 0, 2, 4, 0})
	f.Add([]byte{first | more, 2, 5, 9, drop, 2, 0, 0, 0, 2, 4, 0})
	f.Add([]byte{first | more, 4, 5, 9, 0, 4, 4, 0})
	f.Add([]byte{first | more, 2, 5, 4})
	f.Add([]byte{first | more, 250, 5, 9})
	f.Add([]byte{first | more, 2, 5, 9, 0, 2, 3, 0})
	full := []byte{limit, 0, 0, 0} // as many messages that nobody takes as there may be, one of which ends
	for i := range 1024 {
		full = append(full, first|more|byte(i>>8)<<6, byte(i), 1, 2)
	}
	full[4*251] = drop // in place of 250, which is a violation
	f.Add(append(full, 0, 9, 1, 0, first|more|0x10, 9, 1, 2, first|more|0x10, 10, 1, 2, first|more|0x10, 11, 1, 2))
	f.Add([]byte{first | more, 1, 100, 200, limit, 0, 20, 0, first | more, 2, 5, 90, more, 1, 60, 0, 0, 1, 40, 0, 0, 2, 85, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		model := &joiner{open: make(map[openKey]*joined), limit: 300}
		a := framing.NewAssembler(300, func(h framing.Header) (bool, error) {
			if refused(h.ID) {
				return false, errWrong
			}
			return !unwanted(h.ID), nil
		})
		for ; len(ops) >= 4; ops = ops[4:] {
			key := openKey{uint64(ops[1]) | uint64(ops[0]>>6)<<8, ops[0] >> 4 & 1}
			switch ops[0] & 0x0c {
			case drop:
				require.Equal(t, model.forget(key), a.Drop(key.id, key.typ))
				continue
			case limit:
				model.limit = int(ops[2])
				a.SetMaxMessage(model.limit)
				continue
			}
			payload := bytes.Repeat(ops[1:2], int(ops[2]))
			if ops[0]&first != 0 {
				payload = append(binary.BigEndian.AppendUint32(nil, uint32(ops[3])<<(ops[0]>>5&1*24)), payload...)
			}
			h := framing.Header{Type: key.typ, Flags: framing.Flags(ops[0] >> 1 & 1), Length: uint32(len(payload)), ID: key.id}
			if !compareAdd(t, a, model, h, payload) {
				return
			}
		}
	})
}

// compareAdd gives a frame to both and reports whether the stream is still of use.
func compareAdd(t *testing.T, a *framing.Assembler, model *joiner, h framing.Header, payload []byte) bool {
	want, wantDone, wantErr := model.add(h, payload)
	got, done, err := a.Add(h, payload)
	require.Equal(t, wantErr == nil, err == nil, "%v, the model says %v", err, wantErr)
	if err != nil {
		return false
	}
	require.Equal(t, wantDone, done)
	require.True(t, bytes.Equal(want.Body, got.Body))
	require.True(t, !got.Dropped || got.Body == nil)
	require.LessOrEqual(t, cap(got.Body), max(1<<20, 2*got.Size))
	want.Body, got.Body = nil, nil
	require.Equal(t, want, got)
	for typ := range uint8(2) {
		require.Equal(t, model.taken(typ), a.Taken(typ))
	}
	return true
}
