package rpc_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// hooked is a host's end that calls hook, once, when a frame of one type is about to be written.
type hooked struct {
	*ringStream
	typ  uint8
	hook func()
}

func (h *hooked) TryWrite(p []byte) (int, error) {
	for rest := p; len(rest) >= framing.HeaderSize; {
		head, err := framing.Parse(rest)
		if err != nil {
			break
		}
		if head.Type == h.typ && h.hook != nil {
			f := h.hook
			h.hook = nil
			f()
		}
		rest = rest[min(len(rest), framing.HeaderSize+int(head.Length)):]
	}
	return h.ringStream.TryWrite(p)
}

// A worker's call asks for "started", and Close comes while that is being written: nothing is left for its handler, and nothing panics.
func TestClose_WhileStartedIsWritten(t *testing.T) {
	for _, used := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var h *hooked
			ends := func(t testing.TB) (stream, stream) {
				a, b := ringEnds(t)
				h = &hooked{ringStream: a.(*ringStream), typ: started}
				return h, b
			}
			host, w, _ := connectWire(t, ends, 3, rpc.HostOptions{Handler: rpc.HandlerFunc(func(context.Context, *rpc.Request) (any, error) { return 1, nil })})
			done := background(t.Context(), host, "m", nil)
			w.expect(call)
			if used {
				w.send(call, 0, 1, callBody(t, "back", nil))
				w.expect(reply)
			}
			h.hook = func() {
				go host.Close() // ends with the goroutine that reads, if it is the Peer's own; a caller that reads is not waited for
				synctest.Wait()
			}
			w.send(call, framing.WantStarted, 3, callBody(t, "back", nil))
			require.ErrorIs(t, (<-done).err, rpc.ErrClosed)
		})
	}
}
