package framing_test

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
)

type part struct {
	h       framing.Header
	payload []byte
}

// cut makes the frames of one message, with at most size bytes of it in each.
func cut(typ uint8, id uint64, body []byte, size int) (parts []part) {
	payload := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body[:min(size, len(body))]...)
	for body = body[min(size, len(body)):]; ; body = body[min(size, len(body)):] {
		h := framing.Header{Type: typ, Flags: framing.Stream, Length: uint32(len(payload)), ID: id}
		if len(body) > 0 {
			h.Flags |= framing.More
		}
		parts = append(parts, part{h, payload})
		if len(body) == 0 {
			break
		}
		payload = body[:min(size, len(body))]
	}
	if len(parts) == 1 { // a cut message has two frames at least
		last := parts[0]
		parts[0].h.Flags |= framing.More
		last.h.Length, last.payload = 0, nil
		parts = append(parts, last)
	}
	return parts
}

func add(t *testing.T, a *framing.Assembler, parts ...part) (m framing.Message, done bool) {
	for _, p := range parts {
		var err error
		require.False(t, done)
		m, done, err = a.Add(p.h, p.payload)
		require.NoError(t, err)
	}
	return m, done
}

func TestWholeMessagePassesThrough(t *testing.T) {
	a := framing.NewAssembler(100, nil)
	payload := []byte("payload")
	m, done := add(t, a, part{framing.Header{Type: 0x12, Flags: framing.Stream, ID: 4, Length: 7}, payload})
	require.True(t, done)
	require.Equal(t, framing.Message{Type: 0x12, Flags: framing.Stream, ID: 4, Body: payload, Size: 7}, m)
	require.Same(t, &payload[0], &m.Body[0], "a whole message is not copied")
}

// Messages come out whole, however they were cut and whatever came in between.
func TestCutMessagesInterleave(t *testing.T) {
	r := seeded(t)
	for range 50 {
		bodies, queues, want := map[uint64][]byte{}, [][]part(nil), 0
		for id := uint64(2); id <= 10; id += 2 {
			body := make([]byte, 1+r.IntN(3000))
			for i := range body {
				body[i] = byte(r.Uint32())
			}
			bodies[id] = body
			queues = append(queues, cut(0x12, id, body, 1+r.IntN(len(body))))
			want++
		}
		a := framing.NewAssembler(3000, nil)
		for len(queues) > 0 {
			i := r.IntN(len(queues))
			m, done := add(t, a, queues[i][0])
			if queues[i] = queues[i][1:]; !done {
				continue
			}
			queues = append(queues[:i], queues[i+1:]...)
			require.Equal(t, bodies[m.ID], m.Body)
			require.Equal(t, framing.Message{Type: 0x12, Flags: framing.Stream, ID: m.ID, Body: m.Body, Owned: true, Cut: true, Size: len(m.Body)}, m)
			want--
		}
		require.Zero(t, want)
		require.Zero(t, a.Taken(0x12))
	}
}

// The two directions of thought of one id do not mix: an error may come while the reply is open.
func TestTypesOfOneIDAreApart(t *testing.T) {
	a := framing.NewAssembler(1000, nil)
	reply := cut(0x12, 2, []byte("a long reply"), 4)
	add(t, a, reply[0])
	m, done := add(t, a, part{framing.Header{Type: 0x13, ID: 2, Length: 5}, []byte("error")})
	require.True(t, done)
	require.Equal(t, "error", string(m.Body))
	m, done = add(t, a, reply[1:]...)
	require.True(t, done)
	require.Equal(t, "a long reply", string(m.Body))
}

func TestP4_TooLargeIsSkippedAndDropped(t *testing.T) {
	a := framing.NewAssembler(100, nil)
	m, done := add(t, a, part{framing.Header{Type: 0x10, ID: 2, Length: 101}, make([]byte, 101)})
	require.True(t, done)
	require.Equal(t, framing.Message{Type: 0x10, ID: 2, Dropped: true, Size: 101}, m)

	m, done = add(t, a, cut(0x10, 4, make([]byte, 101), 30)...)
	require.True(t, done)
	require.True(t, m.Dropped)
	require.Nil(t, m.Body)
	require.Equal(t, 101, m.Size)

	a.SetMaxMessage(101)
	m, done = add(t, a, cut(0x10, 6, make([]byte, 101), 30)...)
	require.True(t, done)
	require.False(t, m.Dropped)
	require.Len(t, m.Body, 101)
}

// Sizes that are claimed cost nothing before their bytes have come, and none of it where nobody wants the message.
func TestP4_ClaimsTakeNoMemory(t *testing.T) {
	claim := binary.BigEndian.AppendUint32(nil, math.MaxInt32)
	first := func(id uint64) part {
		return part{framing.Header{Type: 0x12, Flags: framing.More, ID: id, Length: 5}, append(claim, 'x')}
	}
	unwanted := framing.NewAssembler(math.MaxInt32, func(framing.Header) (bool, error) { return false, nil })
	require.Less(t, allocated(func() { add(t, unwanted, first(2), first(4), first(6)) }), uint64(100<<10))
	require.Zero(t, unwanted.Taken(0x12))

	wanted := framing.NewAssembler(math.MaxInt32, nil)
	require.Less(t, allocated(func() { add(t, wanted, first(2), first(4), first(6)) }), uint64(4<<20))
	require.Equal(t, 3, wanted.Taken(0x12))
}

// A side that begins messages without end, which nobody takes, cannot make the tables grow for ever.
func TestUnwantedMessagesAreBounded(t *testing.T) {
	a := framing.NewAssembler(1000, func(framing.Header) (bool, error) { return false, nil })
	open := 0
	for ; open < 1<<20; open++ {
		p := cut(0x18, uint64(open), []byte("some data"), 3)[0]
		if _, _, err := a.Add(p.h, p.payload); err != nil {
			break
		}
	}
	require.Equal(t, 1<<10, open)
	require.True(t, a.Drop(7, 0x18))
	add(t, a, cut(0x18, 7, []byte("some data"), 3)...)
	add(t, a, cut(0x18, 7, []byte("some data"), 3)[0])
}

func TestWantIsAskedOnceAndMayRefuse(t *testing.T) {
	asked, bad := 0, errors.New("such an id")
	a := framing.NewAssembler(1000, func(h framing.Header) (bool, error) {
		asked++
		if h.ID == 3 {
			return false, bad
		}
		return true, nil
	})
	_, done := add(t, a, cut(0x10, 2, make([]byte, 100), 10)...)
	require.True(t, done)
	require.Equal(t, 1, asked)
	add(t, a, part{framing.Header{Type: 0x10, ID: 4}, nil})
	require.Equal(t, 1, asked, "a whole message takes no memory")
	p := cut(0x10, 3, make([]byte, 100), 10)[0]
	_, _, err := a.Add(p.h, p.payload)
	require.ErrorIs(t, err, bad)
}

func TestPartsThatDoNotAddUp(t *testing.T) {
	total := func(n uint32, rest string) []byte { return append(binary.BigEndian.AppendUint32(nil, n), rest...) }
	more := framing.Header{Type: 0x12, Flags: framing.More, ID: 2}
	last := framing.Header{Type: 0x12, ID: 2}
	for name, parts := range map[string][]part{
		"no room for the length":     {{more, []byte("abc")}},
		"length over all limits":     {{more, total(1<<31, "x")}},
		"more than announced":        {{more, total(3, "ab")}, {last, []byte("cd")}},
		"more already in the first":  {{more, total(3, "abcd")}},
		"less than announced":        {{more, total(9, "ab")}, {last, []byte("cd")}},
		"empty last, less":           {{more, total(3, "ab")}, {last, nil}},
		"empty first part":           {{more, total(3, "")}},
		"empty part in the middle":   {{more, total(3, "ab")}, {more, nil}},
		"nothing at all, with MORE":  {{more, nil}},
		"announced nothing, has one": {{more, total(0, "x")}},
	} {
		for _, limit := range []int{0, 1000} { // it is checked for skipped messages too
			a := framing.NewAssembler(limit, nil)
			var err error
			for i, p := range parts {
				require.NoError(t, err, "%s: frame %d", name, i)
				_, _, err = a.Add(p.h, p.payload)
			}
			require.Error(t, err, name)
		}
	}
}

// A last frame may be empty: the sender noticed the end late.
func TestEmptyLastFrame(t *testing.T) {
	m, done := add(t, framing.NewAssembler(1000, nil), cut(0x12, 2, []byte("all of it"), 100)...)
	require.True(t, done)
	require.Equal(t, "all of it", string(m.Body))
}

func TestDropForgetsAnOpenMessage(t *testing.T) {
	a := framing.NewAssembler(1000, nil)
	require.False(t, a.Drop(2, 0x10))
	parts := cut(0x10, 2, []byte("given up by its sender"), 5)
	add(t, a, parts[0], parts[1])
	require.Equal(t, 1, a.Taken(0x10))
	require.False(t, a.Drop(2, 0x12))
	require.True(t, a.Drop(2, 0x10))
	require.Zero(t, a.Taken(0x10))
	m, done := add(t, a, part{framing.Header{Type: 0x10, ID: 2, Length: 3}, []byte("new")})
	require.True(t, done, "the id is free for a message of its own")
	require.Equal(t, "new", string(m.Body))
}
