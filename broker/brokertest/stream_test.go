package brokertest

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
)

// sink is a pipe's writing end that keeps what comes.
type sink struct{ bytes.Buffer }

func (*sink) Close() error { return nil }

// frame makes a frame.
func frame(h framing.Header, payload string) []byte {
	h.Length = uint32(len(payload))
	return append(h.Append(nil), payload...)
}

// callFrame makes a call without arguments.
func callFrame(t *testing.T, id uint64, method string) []byte {
	b, err := msgpack.Marshal([]any{method, uint64(0), 1, nil})
	require.NoError(t, err)
	return frame(framing.Header{Type: typeCall, ID: id}, string(b)+"\xc0")
}

// piped makes a worker that is fed with these frames, and what it writes.
func piped(frames ...[]byte) (*memoryWorker, *sink) {
	w, out := newMemoryWorker(&Pool{}), new(sink)
	w.out = newOutput(out)
	w.in = newInput(w, io.NopCloser(bytes.NewReader(bytes.Join(frames, nil))))
	close(w.running)
	return w, out
}

// parsed returns the frames of a stream.
func parsed(t *testing.T, stream []byte) (all []framing.Header) {
	for len(stream) > 0 {
		h, err := framing.Parse(stream)
		require.NoError(t, err)
		all, stream = append(all, h), stream[framing.HeaderSize+int(h.Length):]
	}
	return all
}

// Whoever has said goodbye takes no call: the broker counts those above the last as not executed.
func TestNothingPassesAfterGoodbye(t *testing.T) {
	one, two, three := callFrame(t, 2, "one"), callFrame(t, 4, "two"), callFrame(t, 6, "three")
	w, out := piped(one, two, three)
	w.pool.script.addCall(rule{method: "two", left: 1, fault: Goodbye()})
	passed, err := io.ReadAll(w.in)
	require.NoError(t, err)
	require.Equal(t, one, passed)
	said := out.Bytes()
	require.Len(t, parsed(t, said), 1)
	var goodbye struct {
		LastID uint64 `msgpack:"last_id"`
	}
	require.NoError(t, msgpack.Unmarshal(said[framing.HeaderSize:], &goodbye))
	require.EqualValues(t, 2, goodbye.LastID)
}

// What has no fault passes as it came.
func TestWhatHasNoFaultPassesUntouched(t *testing.T) {
	frames := [][]byte{
		frame(framing.Header{Type: 0x30, Flags: framing.Ignorable}, "grease"),
		callFrame(t, 2, "one"),
		frame(framing.Header{Type: typeCancel, ID: 2}, ""),
		frame(framing.Header{Type: typeShutdown}, "\x80"),
	}
	w, out := piped(frames...)
	passed, err := io.ReadAll(w.in)
	require.NoError(t, err)
	require.Equal(t, bytes.Join(frames, nil), passed)
	require.Empty(t, out.Bytes())
}

// The dead read nothing, even of what has arrived.
func TestTheDeadReadNothing(t *testing.T) {
	w, _ := piped(callFrame(t, 2, "one"))
	close(w.dead)
	passed, err := io.ReadAll(w.in)
	require.NoError(t, err)
	require.Empty(t, passed)
}

// What a fault says comes between two frames, wherever the SDK's writes end.
func TestOursComesBetweenFrames(t *testing.T) {
	theirs := frame(framing.Header{Type: 0x12, ID: 2}, "reply")
	for at := range len(theirs) {
		w, out := piped()
		_, _ = w.out.Write(theirs[:at])
		w.out.goodbye(2)
		_, _ = w.out.Write(theirs[at:])
		require.Len(t, parsed(t, out.Bytes()), 2, "after %d bytes", at)
	}
}
