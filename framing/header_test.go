package framing_test

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
)

// seeded is a source of its own for each test, with the seed in the test's output.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func randomHeader(r *rand.Rand) framing.Header {
	// shifted, so that small numbers are as frequent as large ones
	return framing.Header{
		Type: uint8(r.IntN(framing.MaxType + 1)), Flags: framing.Flags(r.Uint32()),
		Length: r.Uint32() >> r.IntN(32), ID: r.Uint64() >> r.IntN(64),
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	r := seeded(t)
	headers := []framing.Header{
		{},
		{Type: framing.MaxType, Flags: 0xFF, Length: math.MaxUint32, ID: math.MaxUint64},
		{Type: 0x10, Flags: framing.More | framing.Stream, Length: 1, ID: 2},
	}
	for range 1000 {
		headers = append(headers, randomHeader(r))
	}
	for _, h := range headers {
		b := h.Append([]byte("before"))
		require.Len(t, b, len("before")+framing.HeaderSize)
		require.Equal(t, byte(framing.Magic), b[6])
		sum := byte(0)
		for _, c := range b[6:] {
			sum ^= c
		}
		require.Zero(t, sum, "the exclusive or of the header")
		got, err := framing.Parse(b[6:])
		require.NoError(t, err)
		require.Equal(t, h, got)
	}
}

// The layout is part of the protocol: these bytes are those of docs/protocol.md, section 2.
func TestHeaderLayout(t *testing.T) {
	h := framing.Header{Type: 0x12, Flags: framing.More | framing.NotRun, Length: 0x01020304, ID: 0x1112131415161718}
	b := h.Append(nil)
	check := byte(0xC1 ^ 0x52 ^ 0x11 ^ 0x01 ^ 0x02 ^ 0x03 ^ 0x04 ^ 0x11 ^ 0x12 ^ 0x13 ^ 0x14 ^ 0x15 ^ 0x16 ^ 0x17 ^ 0x18)
	require.Equal(t, []byte{0xC1, 0x52, 0x11, check, 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18}, b)
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	r := seeded(t)
	for range 100 {
		b := randomHeader(r).Append(nil)
		for bit := range len(b) * 8 {
			b[bit/8] ^= 1 << (bit % 8)
			_, err := framing.Parse(b)
			var bad *framing.HeaderError
			require.ErrorAs(t, err, &bad, "bit %d", bit)
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestP1_HeaderErrorQuotesWhatWasPrinted(t *testing.T) {
	_, err := framing.Parse([]byte("Loading model weights, please wait …"))
	require.ErrorContains(t, err, "Loading model weights")
	require.ErrorContains(t, err, "did something print to stdout?")
}

// stream is random frames, one behind the other.
func stream(r *rand.Rand, frames, maxPayload int) (b []byte, headers []framing.Header, payloads [][]byte) {
	for i := range frames {
		payload := make([]byte, r.IntN(maxPayload+1))
		for j := range payload {
			payload[j] = byte(r.Uint32() | 1) // zeros are a test of their own
		}
		h := framing.Header{Type: 0x10 + uint8(r.IntN(6)), Flags: framing.Flags(r.IntN(32)), Length: uint32(len(payload)), ID: uint64(2*i + 2)}
		b = append(h.Append(b), payload...)
		headers, payloads = append(headers, h), append(payloads, payload)
	}
	return b, headers, payloads
}

// parse returns the frames in b, up to the first impossible one.
func parse(b []byte, maxFrame int) (frames int, err error) {
	in := framing.NewBuffer(maxFrame)
	for len(b) > 0 {
		n := copy(in.Space(), b)
		in.Filled(n)
		b = b[n:]
		for {
			_, _, ok, err := in.Next()
			if err != nil {
				return frames, err
			}
			if !ok {
				break
			}
			frames++
		}
	}
	return frames, nil
}

// P3: one lost byte must not make the reader wait for ever, or take payload for frames. The frames are the same in each run: one byte of
// redundancy makes a wrong guess improbable, not impossible.
func TestP3_EveryLostByteIsNoticed(t *testing.T) {
	for seed := range uint64(20) {
		b, headers, _ := stream(rand.New(rand.NewPCG(seed, 0)), 60, 40)
		loseEach(t, b, headers)
	}
}

func loseEach(t *testing.T, b []byte, headers []framing.Header) {
	size := framing.HeaderSize
	for i := range headers[:10] {
		size += framing.HeaderSize + int(headers[i].Length)
	}
	for lost := range size { // with enough frames behind it
		damaged := append(append([]byte(nil), b[:lost]...), b[lost+1:]...)
		whole := 0
		for at := 0; at+framing.HeaderSize+int(headers[whole].Length) <= lost; whole++ {
			at += framing.HeaderSize + int(headers[whole].Length)
		}
		frames, err := parse(damaged, framing.MinFrame)
		var bad *framing.HeaderError
		require.ErrorAs(t, err, &bad, "byte %d of frame %d", lost, whole)
		require.LessOrEqual(t, frames, whole+1, "frames taken after the loss of byte %d of frame %d", lost, whole)
	}
}

// A lost zero in front of a payload that begins with zero is the case which the check byte alone cannot see: the id becomes another one. The
// magic of the next frame is missing then.
func TestP3_LostZeroIsNoticedByTheNextFrame(t *testing.T) {
	one := append(framing.Header{Type: 0x12, Length: 3, ID: 2}.Append(nil), 0, 0, 0)
	b := append(append([]byte(nil), one...), one...)
	for lost := 8; lost < 15; lost++ {
		frames, err := parse(append(append([]byte(nil), b[:lost]...), b[lost+1:]...), framing.MinFrame)
		require.Error(t, err, "byte %d", lost)
		require.LessOrEqual(t, frames, 1)
	}
}

func TestP3_EveryAddedByteIsNoticed(t *testing.T) {
	b, _, _ := stream(rand.New(rand.NewPCG(1, 0)), 20, 40)
	for at := range len(b) / 2 {
		added := append(append(append([]byte(nil), b[:at]...), byte(bits.Reverse8(uint8(at))|1)), b[at:]...)
		_, err := parse(added, framing.MinFrame)
		require.Error(t, err, "a byte in front of byte %d", at)
	}
}

func ExampleHeader() {
	b := framing.Header{Type: 0x12, Length: 2, ID: 4}.Append(nil)
	fmt.Printf("% x\n", b)
	h, err := framing.Parse(b)
	fmt.Println(h.Length, h.ID, err)
	_, err = framing.Parse([]byte("a line of text on stdout"))
	fmt.Println(err)
	// Output:
	// c1 52 00 95 00 00 00 02 00 00 00 00 00 00 00 04
	// 2 4 <nil>
	// impossible frame header "a line of text on stdout": no frame begins here; did something print to stdout?
}
