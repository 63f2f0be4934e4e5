package framing_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
)

// Frames come out as they went in, however the stream was cut into reads.
func TestFramesSurviveAnyReads(t *testing.T) {
	r := seeded(t)
	for _, maxPayload := range []int{0, 10, 300, 5000, 70 << 10} {
		for range 20 {
			b, headers, payloads := stream(r, 1+r.IntN(20), maxPayload)
			in, got := framing.NewBuffer(framing.DefaultFrame), 0
			limit := max(1<<r.IntN(18), len(b)/500) // of one read
			for len(b) > 0 {
				space := in.Space()
				require.NotEmpty(t, space)
				n := copy(space[:min(len(space), 1+r.IntN(limit))], b)
				in.Filled(n)
				b = b[n:]
				got, _ = takeSome(t, r, in, headers, payloads, got)
			}
			for more := true; more; {
				got, more = takeSome(t, r, in, headers, payloads, got)
			}
			require.Equal(t, len(headers), got)
			require.Empty(t, in.Rest())
		}
	}
}

// takeSome takes the frames that are there, or now and then leaves some for later, and compares them.
func takeSome(t *testing.T, r *rand.Rand, in *framing.Buffer, headers []framing.Header, payloads [][]byte, got int) (n int, more bool) {
	for r.IntN(10) > 0 {
		h, payload, ok, err := in.Next()
		require.NoError(t, err)
		if !ok {
			if r.IntN(4) == 0 {
				in.Shrink()
			}
			return got, false
		}
		require.Equal(t, headers[got], h)
		require.True(t, bytes.Equal(payloads[got], payload), "payload of frame %d", got)
		require.Equal(t, len(payload), cap(payload), "room that an append would write into")
		got++
	}
	return got, true
}

// The payloads that Next returned stay valid over further calls of Next, and over Shrink.
func TestPayloadsStayUntilSpace(t *testing.T) {
	in := framing.NewBuffer(framing.DefaultFrame)
	b, _, payloads := stream(rand.New(rand.NewPCG(1, 2)), 5, 100)
	in.Filled(copy(in.Space(), b))
	var got [][]byte
	for range payloads {
		_, payload, ok, err := in.Next()
		require.NoError(t, err)
		require.True(t, ok)
		got = append(got, payload)
	}
	in.Shrink()
	require.Equal(t, payloads, got)
}

func TestLengthOverTheLimit(t *testing.T) {
	in := framing.NewBuffer(2000)
	in.Filled(copy(in.Space(), framing.Header{Type: 0x10, Length: 1 << 30, ID: 2}.Append(nil)))
	for range 2 { // the error stays
		_, _, ok, err := in.Next()
		require.False(t, ok)
		var bad *framing.HeaderError
		require.ErrorAs(t, err, &bad)
		require.ErrorContains(t, err, "length 1073741824 is over the limit of 2000")
		require.Less(t, len(in.Space()), 10<<10, "memory for the length that was claimed")
	}
	in.SetMaxFrame(1 << 30)
	_, _, ok, err := in.Next()
	require.False(t, ok)
	require.NoError(t, err, "with the limit raised more bytes are awaited")
}

// Text is noticed in its first byte, before a whole header has come.
func TestP1_TextIsNoticedInItsFirstByte(t *testing.T) {
	in := framing.NewBuffer(framing.DefaultFrame)
	in.Filled(copy(in.Space(), "hi\n"))
	_, _, _, err := in.Next()
	var bad *framing.HeaderError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, "hi\n", string(bad.Bytes))
}

// P4: memory follows what has come and what a frame needs, not more, and an idle buffer gives it back.
func TestBufferGrowsAndShrinks(t *testing.T) {
	in := framing.NewBuffer(framing.MaxFrame)
	require.Equal(t, 4<<10, len(in.Space()), "an idle connection")

	big := 3 << 20
	in.Filled(copy(in.Space(), framing.Header{Type: 0x10, Length: uint32(big), ID: 2}.Append(nil)))
	_, _, ok, err := in.Next()
	require.False(t, ok)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(in.Space()), big, "room for the rest of the frame in one read")
	for left := big; left > 0; {
		n := min(left, len(in.Space()))
		in.Filled(n)
		left -= n
	}
	_, payload, ok, err := in.Next()
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, big, len(payload))
	in.Shrink()
	require.Equal(t, 4<<10, len(in.Space()))
}

// The room is for the whole frame also where others stand before it.
func TestRoomForTheRestOfAFrame(t *testing.T) {
	in, small := framing.NewBuffer(framing.DefaultFrame), framing.Header{Type: 0x12, Length: 2000, ID: 2}.Append(nil)
	b := append(append(small, make([]byte, 2000)...), framing.Header{Type: 0x12, Length: 3000, ID: 4}.Append(nil)...)
	in.Filled(copy(in.Space(), b))
	_, _, ok, err := in.Next()
	require.NoError(t, err)
	require.True(t, ok)
	require.GreaterOrEqual(t, len(in.Space()), 3000)
}

// A stream that always has more than was asked for is read in larger pieces, up to what a pipe holds.
func TestBufferGrowsForManySmallFrames(t *testing.T) {
	in, one := framing.NewBuffer(framing.DefaultFrame), framing.Header{Type: 0x12, ID: 2}.Append(nil)
	for range 20 {
		space := in.Space()
		for at := 0; at < len(space); {
			at += copy(space[at:], one)
		}
		in.Filled(len(space))
		in.Discard(len(in.Rest()))
	}
	require.Equal(t, 64<<10, len(in.Space()))
}

func TestDiscardAndRest(t *testing.T) {
	in := framing.NewBuffer(framing.DefaultFrame)
	b := append([]byte("noise"), framing.Header{Type: 0x12, ID: 2}.Append(nil)...)
	in.Filled(copy(in.Space(), b))
	require.Equal(t, b, in.Rest())
	in.Discard(5)
	h, _, ok, err := in.Next()
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 2, h.ID)
	in.Discard(1 << 20) // more than there is
	require.Empty(t, in.Rest())
}
