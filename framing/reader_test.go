package framing_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
)

// typeDrop is the type of frames upon which tests give up the message of type 0x12 with that id.
const typeDrop = 0x14

// received is what was made of a stream.
type received struct {
	messages []framing.Message
	err      error
	pending  int // bytes of a frame that is not complete
}

// take keeps a message, and drops another if it says so.
func (g *received) take(m framing.Message, drop func(id uint64, typ uint8) bool) {
	if m.Type == typeDrop && drop(m.ID, 0x12) {
		m.Flags = 0xFF // that it was open counts
	}
	g.messages = append(g.messages, m)
}

// readApart has a Buffer and an Assembler make messages of a stream that comes at once.
func readApart(b []byte, maxFrame, maxMessage int, want func(framing.Header) (bool, error)) (got received) {
	in, parts := framing.NewBuffer(maxFrame), framing.NewAssembler(maxMessage, want)
	for len(b) > 0 {
		n := copy(in.Space(), b)
		in.Filled(n)
		b = b[n:]
		for {
			h, payload, ok, err := in.Next()
			if got.err = err; !ok {
				break
			}
			m, done, err := parts.Add(h, payload)
			if got.err = err; err != nil {
				return got
			}
			if done {
				m.Body = bytes.Clone(m.Body)
				got.take(m, parts.Drop)
			}
		}
		if got.err != nil {
			return got
		}
	}
	got.pending = len(in.Rest())
	return got
}

// readWith has a Reader make messages of a stream that comes in reads of those sizes, over and over; a size of 0 stands for all that fits. It fails
// if one that is Owned changes afterwards.
func readWith(t *testing.T, b []byte, sizes []int, maxFrame, maxMessage int, want func(framing.Header) (bool, error)) (got received) {
	in := framing.NewReader(maxFrame, maxMessage, want)
	owned := make(map[int][]byte) // as they came
	for round := 0; len(b) > 0 && got.err == nil; round++ {
		space := in.Space()
		require.NotEmpty(t, space)
		if size := sizes[round%len(sizes)]; size > 0 {
			space = space[:min(len(space), size)]
		}
		n := copy(space, b)
		in.Filled(n)
		b = b[n:]
		for {
			m, ok, err := in.Next()
			if got.err = err; !ok {
				break
			}
			if m.Owned {
				owned[len(got.messages)] = m.Body
			}
			m.Body = bytes.Clone(m.Body)
			got.take(m, in.Drop)
		}
		if round%3 == 2 {
			in.Shrink()
		}
	}
	got.pending = in.Pending()
	for i, body := range owned {
		require.True(t, bytes.Equal(got.messages[i].Body, body), "message %d has changed", got.messages[i].ID)
	}
	return got
}

// same holds what a Reader gave to what Buffer and Assembler give. Only Owned may differ, as it says where the bytes were put; and of a message that
// cannot be, a Reader may say so before its frame has come whole.
func same(t *testing.T, want, got received) {
	t.Helper()
	require.Len(t, got.messages, len(want.messages), "%v, not %v", got.err, want.err)
	for i, w := range want.messages {
		g := got.messages[i]
		require.True(t, bytes.Equal(w.Body, g.Body), "message %d", w.ID)
		require.Equal(t, w.Body == nil, g.Body == nil, "message %d", w.ID)
		require.True(t, g.Owned || !g.Cut)
		w.Body, g.Body, w.Owned, g.Owned = nil, nil, false, false
		require.Equal(t, w, g)
	}
	if want.err == nil && want.pending > 0 && got.err != nil {
		return
	}
	require.Equal(t, want.err == nil, got.err == nil, "%v, not %v", got.err, want.err)
	if want.err == nil {
		require.Equal(t, want.pending, got.pending)
		return
	}
	var header *framing.HeaderError
	require.Equal(t, errors.As(want.err, &header), errors.As(got.err, &header))
	if header == nil {
		require.Equal(t, want.err.Error(), got.err.Error())
	}
}

// single is a message in one frame.
func single(typ uint8, id uint64, body []byte) []part {
	return []part{{framing.Header{Type: typ, ID: id, Length: uint32(len(body))}, body}}
}

func joinParts(all ...[]part) (b []byte) {
	for _, parts := range all {
		for _, p := range parts {
			b = append(p.h.Append(b), p.payload...)
		}
	}
	return b
}

// interleaved takes one part of each in turn.
func interleaved(all ...[]part) (parts []part) {
	for i, more := 0, true; more; i++ {
		more = false
		for _, p := range all {
			if i < len(p) {
				parts, more = append(parts, p[i]), true
			}
		}
	}
	return parts
}

// text is n bytes that differ from those of other ids.
func text(id, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8 + id*31)
	}
	return b
}

const (
	testFrame   = 64 << 10
	testMessage = 300 << 10
)

// testStreams are streams for a Reader with those limits that does not want what unwanted says.
func testStreams() map[string][]byte {
	large, small := text(2, 40<<10), text(4, 100)
	claim := func(total uint32, n int, flags framing.Flags) []part {
		body := append(binary.BigEndian.AppendUint32(nil, total), text(9, n)...)
		return []part{{framing.Header{Type: 0x12, Flags: flags, ID: 10, Length: uint32(len(body))}, body}}
	}
	return map[string][]byte{
		"small":                  joinParts(single(0x10, 2, small), single(0x12, 4, nil), single(0x12, 6, small)),
		"large":                  joinParts(single(0x12, 2, large), single(0x12, 4, small), single(0x12, 6, text(6, testFrame)), single(0x12, 8, small)),
		"just small, just large": joinParts(single(0x12, 2, text(2, 16<<10-1)), single(0x12, 4, text(4, 16<<10)), single(0x12, 6, text(6, 16<<10+1))),
		"cut":                    joinParts(cut(0x12, 2, text(2, 200<<10), testFrame-4), single(0x12, 4, small), cut(0x12, 6, small, 10)),
		"cut small":              joinParts(cut(0x12, 2, text(2, 10), 6), single(0x12, 4, large)),
		"last part empty":        joinParts(cut(0x12, 2, large, len(large)), single(0x12, 4, small)),
		"interleaved": joinParts(interleaved(cut(0x12, 2, text(2, 250<<10), 30<<10), cut(0x12, 6, text(6, 100<<10), 20<<10), cut(0x12, 8, small, 7),
			single(0x12, 10, large), single(0x12, 12, small), cut(0x10, 2, large, 17<<10))),
		"over the limit":           joinParts(single(0x12, 2, small), cut(0x12, 6, text(6, testMessage+1), 50<<10), single(0x12, 8, large)),
		"unwanted":                 joinParts(interleaved(cut(0x12, 4, text(4, 200<<10), 60<<10), cut(0x12, 6, large, 18<<10)), single(0x12, 8, small)),
		"dropped between":          joinParts(cut(0x12, 2, large, 18<<10)[:2], single(typeDrop, 2, nil), single(typeDrop, 2, nil), single(0x12, 2, large)),
		"unwanted dropped between": joinParts(cut(0x12, 4, large, 18<<10)[:2], single(typeDrop, 4, nil), single(0x12, 6, large), single(typeDrop, 4, nil)),
		"ends in a header":         joinParts(single(0x12, 2, large), single(0x12, 6, large))[:16+40<<10+9],
		"ends in a large frame":    joinParts(single(0x12, 2, large), single(0x12, 6, large))[:16+40<<10+16+30<<10],
		"ends in a small frame":    joinParts(single(0x12, 2, large), single(0x12, 6, small))[:16+40<<10+50],
		"frame over the limit":     joinParts(single(0x12, 2, large), single(0x12, 6, text(6, testFrame+1))),
		"text":                     append(joinParts(single(0x12, 2, large)), "panic: something printed\n"...),
		"claims too much":          joinParts(single(0x12, 2, large), claim(1<<31, 20<<10, framing.More)),
		"refused":                  joinParts(single(0x12, 2, large), cut(0x12, 250, large, 20<<10)),
		"too short for a length":   joinParts([]part{{framing.Header{Type: 0x12, Flags: framing.More, ID: 2, Length: 3}, []byte("abc")}}),
		"more than announced":      joinParts(single(0x12, 2, large), claim(20<<10, 17<<10, framing.More), claim(0, 17<<10, 0)),
		"less than announced":      joinParts(single(0x12, 2, large), claim(200<<10, 17<<10, framing.More), claim(0, 17<<10, 0)),
		"empty part":               joinParts(claim(200<<10, 17<<10, framing.More), single(0x12, 2, large), []part{{framing.Header{Type: 0x12, Flags: framing.More, ID: 10}, nil}}),
	}
}

func wantMost(h framing.Header) (bool, error) {
	if refused(h.ID) {
		return false, errWrong
	}
	return !unwanted(h.ID), nil
}

func TestReaderGivesWhatBufferAndAssemblerGive(t *testing.T) {
	r := seeded(t)
	random := make([]int, 50)
	for i := range random {
		random[i] = r.IntN(1 << r.IntN(17))
	}
	for name, b := range testStreams() {
		t.Run(name, func(t *testing.T) {
			want := readApart(b, testFrame, testMessage, wantMost)
			for _, sizes := range [][]int{{0}, {1, 1, 1, 900}, {16, 16, 16, 4000}, {17, 3000}, {19, 0}, {20, 0}, {21, 0}, {4 << 10}, {16 << 10}, {16<<10 + 16, 5}, {30000}, random} {
				same(t, want, readWith(t, b, sizes, testFrame, testMessage, wantMost))
			}
		})
	}
}

// Each message says that it is the receiver's where it was read to where it stays.
func TestLargePayloadsAreNotCopied(t *testing.T) {
	in := framing.NewReader(testFrame, testMessage, nil)
	b := joinParts(single(0x12, 2, text(2, 40<<10)))
	in.Filled(copy(in.Space(), b[:100]))
	_, ok, err := in.Next()
	require.NoError(t, err)
	require.False(t, ok)
	space := in.Space()
	require.Len(t, space, len(b)-100, "room for the rest of the frame, and for nothing else")
	in.Filled(copy(space, b[100:]))
	m, ok, err := in.Next()
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, m.Owned)
	require.Same(t, &space[0], &m.Body[100-framing.HeaderSize])
}

func TestPendingCountsTheFrameThatIsNotComplete(t *testing.T) {
	for _, size := range []int{100, 40 << 10} {
		in, b := framing.NewReader(testFrame, testMessage, nil), joinParts(single(0x12, 2, text(2, size)))
		require.Zero(t, in.Pending())
		for at := 0; at < len(b); {
			n := copy(in.Space()[:min(7+at/50, len(in.Space()))], b[at:])
			in.Filled(n)
			at += n
			_, ok, err := in.Next()
			require.NoError(t, err)
			require.Equal(t, at == len(b), ok)
			if !ok {
				require.Equal(t, at, in.Pending())
			}
		}
		require.Zero(t, in.Pending())
	}
}

// give hands b to the reader in as many reads as it takes.
func give(t *testing.T, in *framing.Reader, b []byte) (got []framing.Message) {
	for len(b) > 0 {
		n := copy(in.Space(), b)
		in.Filled(n)
		b = b[n:]
		for {
			m, ok, err := in.Next()
			require.NoError(t, err)
			if !ok {
				break
			}
			got = append(got, m)
		}
	}
	return got
}

// A header costs a frame at most, and the length of a message a megabyte.
func TestP4_ReaderClaimsTakeNoMemory(t *testing.T) {
	const frame, slack = framing.DefaultFrame, 100 << 10
	begun := framing.Header{Type: 0x12, Flags: framing.More, ID: 2, Length: frame}.Append(nil)
	begun = append(binary.BigEndian.AppendUint32(begun, math.MaxInt32), "the beginning"...)
	for at := range begun {
		in := framing.NewReader(frame, math.MaxInt32, nil)
		bound := uint64(frame + slack)
		if at >= framing.HeaderSize+framing.TotalSize {
			bound = 1<<20 + 4<<10 + frame + slack
		}
		require.Less(t, allocated(func() {
			give(t, in, begun[:at])
			in.Space()
		}), bound, "%d bytes have come", at)
	}
	over := framing.NewReader(frame, math.MaxInt32, nil)
	over.Filled(copy(over.Space(), framing.Header{Type: 0x12, ID: 2, Length: math.MaxUint32}.Append(nil)))
	require.Less(t, allocated(func() {
		_, _, err := over.Next()
		require.Error(t, err)
		over.Space()
	}), uint64(slack))
}

// The memory of a message is never more than four times what has come of it, or the first part.
func TestP4_MemoryGrowsWithWhatHasCome(t *testing.T) {
	const frame, size = framing.DefaultFrame, 40 << 20
	for name, piece := range map[string]int{"large frames": frame - 4, "small frames": 1000} {
		t.Run(name, func(t *testing.T) {
			in := framing.NewReader(frame, math.MaxInt32, nil)
			parts := cut(0x12, 2, make([]byte, size), piece)
			binary.BigEndian.PutUint32(parts[0].payload, math.MaxInt32)
			come := uint64(0)
			for _, p := range parts[:len(parts)-1] {
				b := joinParts([]part{p})
				took := allocated(func() { give(t, in, b) })
				come += uint64(len(p.payload))
				require.LessOrEqual(t, took, max(1<<20, 4*come)+4*frame, "%d bytes have come", come)
			}
		})
	}
}

func TestP4_WhatIsDroppedTakesNoMemory(t *testing.T) {
	whole := joinParts(single(0x12, 2, make([]byte, 4<<20)))
	cutUp := joinParts(cut(0x12, 4, make([]byte, 8<<20), 1<<20))
	for name, b := range map[string][]byte{"over the limit": whole, "over the limit, cut": cutUp, "unwanted": cutUp} {
		t.Run(name, func(t *testing.T) {
			limit := 1 << 20
			if name == "unwanted" {
				limit = math.MaxInt32
			}
			in := framing.NewReader(framing.MaxFrame, limit, wantMost)
			var got []framing.Message
			require.Less(t, allocated(func() { got = give(t, in, b) }), uint64(200<<10))
			require.Len(t, got, 1)
			require.True(t, got[0].Dropped)
			require.Nil(t, got[0].Body)
		})
	}
}

// Large messages in one frame that are dropped are not among the open ones, which are counted.
func TestDroppedFramesAreNotOpen(t *testing.T) {
	in := framing.NewReader(testFrame, 1000, nil)
	give(t, in, joinParts(single(0x12, 2, make([]byte, 20<<10))))
	for id := range uint64(1 << 10) {
		give(t, in, joinParts(cut(0x18, id, make([]byte, 2000), 3)[:1]))
	}
	in.Filled(copy(in.Space(), joinParts(cut(0x18, 1<<10, make([]byte, 2000), 3)[:1])))
	_, _, err := in.Next()
	require.Error(t, err)
}

// An idle connection keeps no large buffer, and what was returned stays.
func TestReaderShrinks(t *testing.T) {
	in := framing.NewReader(testFrame, testMessage, nil)
	small := text(4, 15<<10)
	got := give(t, in, joinParts(single(0x12, 2, text(2, 40<<10)), single(0x12, 4, small), single(0x12, 6, small)))
	in.Shrink()
	require.Len(t, in.Space(), 4<<10)
	require.True(t, bytes.Equal(text(2, 40<<10), got[0].Body))

	give(t, in, joinParts(single(0x12, 8, text(8, 40<<10)))[:5000])
	in.Shrink()
	rest := joinParts(single(0x12, 8, text(8, 40<<10)))[5000:]
	got = give(t, in, rest)
	require.True(t, bytes.Equal(text(8, 40<<10), got[0].Body), "in the middle of a message too")
}

func TestRecycledMemoryIsUsedAgain(t *testing.T) {
	in := framing.NewReader(testFrame, testMessage, nil)
	b, used := joinParts(single(0x12, 2, text(2, 40<<10))), make(map[*byte]bool)
	again := 0
	for range 100 { // now and then it goes to the garbage
		m := give(t, in, b)[0]
		require.True(t, bytes.Equal(b[framing.HeaderSize:], m.Body))
		if used[&m.Body[0]] {
			again++
		}
		used[&m.Body[0]] = true
		framing.Recycle(m.Body)
	}
	require.Greater(t, again, 20)
}

// Nothing is handed out twice, whatever the sizes, and no place is too small.
func TestRecycledMemoryBelongsToOne(t *testing.T) {
	r, in := seeded(t), framing.NewReader(framing.DefaultFrame, framing.DefaultMessage, nil)
	type kept struct{ m, want []byte }
	var all []kept
	check := func(k kept) {
		require.True(t, bytes.Equal(k.want, k.m), "a message of %d bytes has changed", len(k.want))
	}
	for id := range 600 {
		body := text(id, 1+r.IntN(1<<(10+r.IntN(11)))) // an empty message is not cut
		parts := single(0x12, uint64(id), body)
		if len(body) > framing.DefaultFrame || r.IntN(3) == 0 {
			parts = cut(0x12, uint64(id), body, 1+r.IntN(framing.DefaultFrame-framing.TotalSize))
		}
		if len(parts) > 1000 {
			continue
		}
		m := give(t, in, joinParts(parts))[0]
		if !m.Owned {
			continue
		}
		all = append(all, kept{m.Body, body})
		check(all[len(all)-1])
		for len(all) > 20 {
			i := r.IntN(len(all))
			check(all[i])
			clear(all[i].m[:cap(all[i].m)])
			framing.Recycle(all[i].m)
			all = slices.Delete(all, i, i+1)
		}
	}
	for _, k := range all {
		check(k)
	}
}

// FuzzReader: what a stream holds does not depend on how it is cut into reads, and is what Buffer and Assembler make of it. Each frame is four bytes:
// what it is, the id, the length of its payload and, for a first one, of the whole message, both in units of 256 bytes where it is said.
func FuzzReader(f *testing.F) {
	const first, more, drop, units, torn = 0x01, 0x02, 0x04, 0x08, 0x10
	f.Add([]byte{units, 2, 100, 0, 0, 4, 9, 0}, []byte{0}, uint16(0))
	f.Add([]byte{first | more | units, 2, 70, 150, units, 6, 80, 0, units, 2, 80, 0}, []byte{20, 0, 3}, uint16(0))
	f.Add([]byte{first | more | units, 4, 70, 150, drop, 4, 0, 0, units, 4, 80, 0}, []byte{0, 200}, uint16(0))
	f.Add([]byte{first | more | units, 2, 70, 255, more | units, 2, 90, 0, units, 2, 95, 0}, []byte{255, 1}, uint16(7))
	f.Add([]byte{units, 2, 200, 0, first | more | units, 250, 80, 90}, []byte{0, 17}, uint16(0))
	f.Add([]byte{units, 2, 200, 0, torn, 'h', 'i', '\n'}, []byte{7}, uint16(0))
	f.Fuzz(func(t *testing.T, ops, cuts []byte, short uint16) {
		var b []byte
		for ; len(ops) >= 4 && len(b) < 1<<20; ops = ops[4:] {
			if ops[0]&torn != 0 {
				b = append(b, ops[1:4]...)
				continue
			}
			unit := 1 + int(ops[0]&units/units)*255
			payload := text(int(ops[1]), int(ops[2])*unit)
			if ops[0]&first != 0 {
				payload = append(binary.BigEndian.AppendUint32(nil, uint32(ops[3])*uint32(unit)), payload...)
			}
			h := framing.Header{Type: 0x12, Flags: framing.Flags(ops[0] >> 1 & 1), Length: uint32(len(payload)), ID: uint64(ops[1])}
			if ops[0]&drop != 0 {
				h.Type, h.Flags = typeDrop, 0
			}
			b = append(h.Append(b), payload...)
		}
		b = b[:max(0, len(b)-int(short))]
		sizes := []int{0}
		for _, c := range cuts {
			sizes = append(sizes, int(c)*(1+int(c)%97))
		}
		if len(b)/max(1, slices.Max(sizes)) > 5000 {
			sizes = append(sizes, 0)
		}
		const frame, message = 60 << 10, 64 << 10
		want := readApart(b, frame, message, wantMost)
		same(t, want, readWith(t, b, sizes, frame, message, wantMost))
		same(t, want, readWith(t, b, sizes[:1], frame, message, wantMost))
	})
}
