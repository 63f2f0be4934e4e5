package rpc

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// spot has what a generator makes: an array where reflection would make a map.
type spot struct{ X, Y uint64 }

func (s *spot) MarshalMsg(b []byte) ([]byte, error) {
	return appendUint(appendUint(append(b, 0x92), s.X), s.Y), nil
}

func (s *spot) UnmarshalMsg(b []byte) ([]byte, error) {
	if b[0] != 0x92 {
		return b, errors.New("no spot")
	}
	var ok [2]bool
	s.X, b, ok[0] = takeUint(b[1:])
	s.Y, b, ok[1] = takeUint(b)
	if !ok[0] || !ok[1] {
		return b, errors.New("no numbers")
	}
	return b, nil
}

// spots, like generated code for slices, has MarshalMsg without a pointer.
type spots []spot

func (s spots) MarshalMsg(b []byte) (_ []byte, err error) {
	b = append(b, 0x90|byte(len(s)))
	for i := range s {
		if b, err = s[i].MarshalMsg(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func TestGenerated_EncodesValuesAndPointersAlike(t *testing.T) {
	one, pointer, missing := spot{3, 400}, &spot{3, 400}, (*spot)(nil)
	wire := []byte{0x92, 3, 0xcd, 1, 144}
	for _, v := range []any{one, pointer} {
		b, err := appendValue([]byte("before"), v)
		require.NoError(t, err)
		require.Equal(t, append([]byte("before"), wire...), b)
	}
	b, err := appendValue(nil, missing)
	require.NoError(t, err)
	require.Equal(t, []byte{0xc0}, b)
	b, err = appendValue(nil, spots{one, one})
	require.NoError(t, err)
	require.Equal(t, slices.Concat([]byte{0x92}, wire, wire), b)
}

func TestGenerated_DecodesWhereThereIsAValue(t *testing.T) {
	wire := []byte{0x92, 3, 0xcd, 1, 144}
	one, pointer := spot{}, (*spot)(nil)
	require.NoError(t, decodeValue(wire, &one))
	require.NoError(t, decodeValue(wire, &pointer))
	require.Equal(t, spot{3, 400}, one)
	require.Equal(t, &one, pointer)
	require.NoError(t, decodeValue([]byte{0x92, 5, 6}, &pointer))
	require.Equal(t, &spot{5, 6}, pointer, "what it points to already")

	require.NoError(t, decodeValue([]byte{0xc0}, &one))
	require.NoError(t, decodeValue([]byte{0xc0}, &pointer))
	require.Zero(t, one)
	require.Nil(t, pointer)
	require.NotContains(t, decodeValue(wire, (*spot)(nil)).Error(), "panic")
	require.Error(t, decodeValue(wire, one))
}

// marshals and unmarshals are generated code with a fault.
type (
	marshals   func(b []byte) ([]byte, error)
	unmarshals func(b []byte) ([]byte, error)
)

func (f marshals) MarshalMsg(b []byte) ([]byte, error)     { return f(b) }
func (f unmarshals) UnmarshalMsg(b []byte) ([]byte, error) { return f(b) }

func TestGenerated_MarshalMistakes(t *testing.T) {
	errNo := errors.New("no")
	for name, c := range map[string]struct {
		f    marshals
		want string
	}{
		"an error":   {func(b []byte) ([]byte, error) { return append(b, 1), errNo }, "MarshalMsg of rpc.marshals: no"},
		"nothing":    {func(b []byte) ([]byte, error) { return b, nil }, "MarshalMsg of rpc.marshals: " + errTruncated.Error()},
		"two values": {func(b []byte) ([]byte, error) { return append(b, 1, 2), nil }, "MarshalMsg of rpc.marshals: " + errTrailing.Error()},
		"a panic":    {func([]byte) ([]byte, error) { panic("oh") }, "panic while encoding rpc.marshals: oh"},
	} {
		_, err := appendValue(nil, c.f)
		require.EqualError(t, err, c.want, name)
	}
}

// What stands before the value is the call's head: no code of the application's gets at it.
func TestGenerated_NothingBeforeIsTouched(t *testing.T) {
	before := "head"
	for name, f := range map[string]marshals{
		"memory of its own": func([]byte) ([]byte, error) { return []byte{7}, nil },
		"from the start":    func(b []byte) ([]byte, error) { return append(b[:0], 7), nil },
		"behind itself":     func(b []byte) ([]byte, error) { return append(b, 1, 2, 7)[2:], nil },
	} {
		for _, room := range []int{0, 2, 64} {
			b, err := appendValue(append(make([]byte, 0, len(before)+room), before...), f)
			require.NoError(t, err, name)
			require.Equal(t, before+"\x07", string(b), name)
		}
	}
}

// Generated code asks for room for the largest value that its type can have; it is to find that the second time.
func TestGenerated_RoomIsKept(t *testing.T) {
	f := marshals(func(b []byte) ([]byte, error) { return append(slices.Grow(b, 500), 7), nil })
	b, err := appendValue([]byte("head"), f)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(10, func() { b, err = appendValue(b[:4], f) }))
	require.NoError(t, err)
}

func TestGenerated_UnmarshalMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		f    unmarshals
		want string
	}{
		"an error":        {func(b []byte) ([]byte, error) { return b, errors.New("no") }, "UnmarshalMsg of *rpc.unmarshals: no"},
		"stops too early": {func(b []byte) ([]byte, error) { return b[1:], nil }, "UnmarshalMsg of *rpc.unmarshals: it has left 2 bytes"},
		"a panic":         {func([]byte) ([]byte, error) { panic("oh") }, "panic while decoding into *rpc.unmarshals: oh"},
	} {
		require.EqualError(t, decodeValue([]byte{0x92, 1, 2}, &c.f), c.want, name)
	}
}

// P4: what is no value, or claims too much, does not reach generated code, which may believe the lengths that it reads.
func TestGenerated_BoundsComeFirst(t *testing.T) {
	f := unmarshals(func([]byte) ([]byte, error) { t.Fatal("it has been called"); return nil, nil })
	for _, b := range []string{"", "\xdd\xff\xff\xff\xff", "\x01\x02", strings.Repeat("\x91", maxDepth+2) + "\x01", "\xc1"} {
		require.Error(t, decodeValue([]byte(b), &f), "%x", b)
	}
}

// Inside other types the library goes by its own methods alone.
func TestGenerated_OnlyAtTheTop(t *testing.T) {
	b, err := appendValue(nil, []spot{{1, 2}})
	require.NoError(t, err)
	want, err := msgpack.Marshal([]spot{{1, 2}})
	require.NoError(t, err)
	require.Equal(t, want, b)
	var back []spot
	require.NoError(t, decodeValue(b, &back))
	require.Equal(t, []spot{{1, 2}}, back)
}
