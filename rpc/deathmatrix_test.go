package rpc_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// lastWords is what a worker writes before it dies: answers to its calls, cut into frames.
type lastWords struct {
	bytes  []byte
	edges  map[int]bool // offsets between two messages
	inside map[int]bool // offsets between two frames where a message is not complete
	ends   []int        // by call: the offset behind its answer
}

// lastFrame is one frame of lastWords.
type lastFrame struct {
	call    int
	typ     uint8
	flags   framing.Flags
	payload []byte
}

const farewell = "these are my last words"

// scripts are the answers that the tables go through byte by byte, by how many calls there are.
func scripts(t testing.TB) map[string][]lastFrame {
	value := encoded(t, farewell)
	first := append([]byte{0, 0, 0, byte(len(value))}, value[:10]...) // the message's length, and its first part
	failure := encoded(t, map[string]any{"code": "odd", "message": farewell})
	return map[string][]lastFrame{
		"a small reply": {{0, reply, 0, value}},
		"a cut reply":   {{0, reply, framing.More, first}, {0, reply, 0, value[10:]}},
		"an error":      {{0, failed, 0, failure}},
		"all of them at once": {
			{1, reply, framing.More, first}, {0, reply, 0, value}, {2, failed, 0, failure}, {1, reply, 0, value[10:]},
		},
	}
}

// speak makes the bytes of a script for calls with these ids.
func speak(script []lastFrame, ids []uint64) *lastWords {
	l := &lastWords{edges: map[int]bool{0: true}, inside: map[int]bool{}, ends: make([]int, len(ids))}
	open := 0
	for _, f := range script {
		l.bytes = append(l.bytes, frame(f.typ, f.flags, ids[f.call], f.payload)...)
		l.ends[f.call] = len(l.bytes)
		switch last := f.flags&framing.More == 0; {
		case !last:
			open++
		case len(f.payload) < len(farewell): // it completes a cut one
			open--
		}
		if open == 0 {
			l.edges[len(l.bytes)] = true
		} else {
			l.inside[len(l.bytes)] = true
		}
	}
	return l
}

// check checks what became of the calls when the worker got as far as n bytes: a complete answer is delivered, and of the rest nobody knows.
func (l *lastWords) check(t *testing.T, n int, calls []<-chan result, cause func(error)) {
	for i, done := range calls {
		r := <-done
		if n < l.ends[i] {
			d, err := delivery(t, r.err)
			require.Equal(t, rpc.Unknown, d, "call %d at byte %d", i, n)
			var nonsense *rpc.ProtocolError
			require.False(t, errors.As(err, &nonsense), "call %d at byte %d: %v", i, n, err) // P8
			cause(err)
			continue
		}
		if r.err != nil {
			require.Equal(t, &rpc.RemoteError{Code: "odd", Message: farewell}, r.err, "call %d at byte %d", i, n)
			continue
		}
		require.Equal(t, msgpack.RawMessage(encoded(t, farewell)), r.reply, "call %d at byte %d", i, n)
	}
}

// deaths are the ways in which a connection finds out that its worker is dead, after the worker has written what it could.
var deaths = map[string]struct {
	hold bool
	die  func(t *testing.T, host *counted, w *wire)
	own  bool // the owner gives the cause
}{
	"the end alone": {die: func(t *testing.T, _ *counted, w *wire) {
		require.NoError(t, w.s.CloseWrite())
	}},
	"the end, then the exit": {hold: true, own: true, die: func(t *testing.T, host *counted, w *wire) {
		require.NoError(t, w.s.CloseWrite())
		<-host.Done()
		host.Drain(errGone)
	}},
	"the end and the exit at once": {hold: true, own: true, die: func(t *testing.T, host *counted, w *wire) {
		require.NoError(t, w.s.CloseWrite())
		host.Drain(errGone)
	}},
	// Somebody else holds the pipe, whose end does not come: P45.
	"the exit alone": {hold: true, own: true, die: func(_ *testing.T, host *counted, _ *wire) {
		host.Drain(errGone)
	}},
	"the exit alone, nobody holds calls": {own: true, die: func(_ *testing.T, host *counted, _ *wire) {
		host.Drain(errGone)
	}},
}

// A worker that dies at any byte of its answers: what is complete counts, the rest may have been executed, and the cause is its death.
func TestP8_DeathAtEveryByteOfAReply(t *testing.T) {
	test := func(t *testing.T, ends makeEnds, name string) {
		for title, script := range scripts(t) {
			for n, size := 0, 1; n <= size; n++ {
				size = dieAt(t, ends, name, script, n)
				if t.Failed() {
					t.Fatalf("%s at byte %d", title, n)
				}
			}
		}
	}
	for name, death := range deaths {
		t.Run(name, func(t *testing.T) {
			hostBubbles(t, func(t *testing.T, ends makeEnds) { test(t, ends, name) })
			eachHostMode(t, func(t *testing.T, ends makeEnds) {
				if host, _ := ends(t); death.own && !canTryRead(host) {
					return // Drain waits for the end, for too long outside of a bubble
				}
				test(t, ends, name)
			})
		})
	}
}

func canTryRead(s stream) bool {
	_, can := s.(rpc.Interrupter)
	_ = s.Close()
	return can
}

// dieAt lets a worker die at byte n of its answers, and returns how long they are.
func dieAt(t *testing.T, ends makeEnds, name string, script []lastFrame, n int) int {
	death := deaths[name]
	host, w, freed := connectWire(t, ends, 8, rpc.HostOptions{HoldLost: death.hold})
	count := 1
	for _, f := range script {
		count = max(count, f.call+1)
	}
	calls, ids := start(t, host, w, count)
	words := speak(script, ids)
	if n > 0 {
		w.write(words.bytes[:n])
	}
	death.die(t, host, w)
	words.check(t, n, calls, func(err error) {
		switch {
		case death.own:
			require.Equal(t, errGone, err, "at byte %d", n)
		case words.edges[n]:
			require.Equal(t, io.EOF, err, "at byte %d", n)
		case words.inside[n]:
			require.Contains(t, []error{io.EOF, io.ErrUnexpectedEOF}, err, "at byte %d", n)
		default:
			require.Equal(t, io.ErrUnexpectedEOF, err, "at byte %d", n)
		}
	})
	require.NoError(t, host.Close())
	_ = w.s.Close() // half of it is closed already
	for range calls {
		<-freed
	}
	require.Empty(t, freed, fmt.Sprint("at byte ", n))
	return len(words.bytes)
}
