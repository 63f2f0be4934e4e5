package brokertest

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// The types of the messages that are looked at: docs/protocol.md, section 4.
const (
	typeReady    = 0x05
	typeCall     = 0x10
	typeError    = 0x13
	typeCancel   = 0x14
	typeShutdown = 0x22
	typeGoodbye  = 0x23
)

// input is a worker's standard input as the SDK reads it: without the calls that meet with a fault. Everything else passes untouched. One goroutine
// at a time reads; leave may be called by any.
type input struct {
	w      *memoryWorker
	src    io.ReadCloser
	frames *framing.Buffer
	pass   []byte        // may be read
	ended  chan struct{} // closed at the end of src

	// Calls that are taken out, by id.
	cut     map[uint64]Fault    // more of it is to come; the fault follows the last frame
	hanging map[uint64]struct{} // it has no answer
	held    []byte              // a shutdown: a worker finishes its calls first, also those that hang

	mu   sync.Mutex
	last uint64 // the highest call that the worker has accepted, with or without a fault
	left bool   // it accepts no further ones
}

func newInput(w *memoryWorker, src io.ReadCloser) *input {
	return &input{
		w:       w,
		src:     src,
		frames:  framing.NewBuffer(framing.MaxFrame),
		ended:   make(chan struct{}),
		cut:     make(map[uint64]Fault),
		hanging: make(map[uint64]struct{}),
	}
}

// Read returns what the SDK may see.
func (in *input) Read(b []byte) (int, error) {
	for len(in.pass) == 0 {
		if err := in.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, in.pass)
	in.pass = in.pass[n:]
	return n, nil
}

// Close closes the pipe.
func (in *input) Close() error { return in.src.Close() }

// next deals with one frame, or reads once. A dead process's input has ended, that of a frozen one stands still.
func (in *input) next() error {
	if in.w.isDead() {
		return io.EOF
	}
	if in.w.isFrozen() {
		<-in.w.mem.Killed
		return io.EOF
	}
	h, payload, ok, err := in.frames.Next()
	switch {
	case err != nil:
		return err
	case !ok:
		return in.fill()
	case in.passes(h, payload):
		in.pass = append(h.Append(in.pass[:0]), payload...)
	}
	return nil
}

func (in *input) fill() error {
	n, err := in.src.Read(in.frames.Space())
	in.frames.Filled(n)
	if n > 0 || err == nil {
		return nil
	}
	if !isClosed(in.ended) {
		in.release()
		close(in.ended)
	}
	return err
}

// passes says whether the SDK gets a frame. If not it has been dealt with.
func (in *input) passes(h framing.Header, payload []byte) bool {
	switch h.Type {
	case typeCall:
		return in.called(h, payload)
	case typeCancel:
		return in.canceled(h.ID)
	case typeShutdown:
		return in.shutdown(h, payload)
	default:
		return true
	}
}

// called takes a call out that meets with a fault, or with a worker that has said goodbye.
func (in *input) called(h framing.Header, payload []byte) bool {
	more := h.Flags&framing.More != 0
	f, known := in.cut[h.ID]
	if !known {
		if isPart := h.ID <= in.accepted(); isPart {
			return true // of a call that passes
		}
		f = in.meet(h, payload)
	}
	switch {
	case f.kind == none:
		return true
	case more:
		in.cut[h.ID] = f
	default:
		delete(in.cut, h.ID)
		in.strike(h.ID, f)
	}
	return false
}

// meet returns what a call meets with whose first frame this is. Goodbye is said at once: no call with a higher id may be accepted before.
func (in *input) meet(h framing.Header, payload []byte) Fault {
	if h.Flags&framing.More != 0 {
		payload = payload[min(framing.TotalSize, len(payload)):]
	}
	f := in.accept(h.ID, parse(payload))
	if f.kind == goodbye {
		in.leave()
		return Fault{kind: nothing}
	}
	return f
}

// accept takes note of a call, unless the worker leaves or has left.
func (in *input) accept(id uint64, a attempt) Fault {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.left {
		return Fault{kind: nothing}
	}
	f := in.w.pool.script.call(a)
	if f.kind != goodbye {
		in.last = id
	}
	return f
}

// parse reads of a call what it is. The broker's calls are well formed.
func parse(payload []byte) (a attempt) {
	d := msgpack.NewDecoder(bytes.NewReader(payload))
	_, _ = d.DecodeArrayLen()
	a.method, _ = d.DecodeString()
	_, _ = d.DecodeUint64() // the budget: the broker cancels what exceeds it
	a.number, _ = d.DecodeInt()
	return a
}

// strike has a call meet with its fault.
func (in *input) strike(id uint64, f Fault) {
	switch f.kind {
	case answer:
		in.w.out.answer(id, f.err)
	case refuse:
		in.w.out.answer(id, &rpc.RemoteError{Code: rpc.CodeOverloaded, Message: "turned down by the test", NotRun: true})
	case nothing: // the goodbye has answered it
	case hang, freeze, garbage:
		in.hanging[id] = struct{}{}
		in.w.suffer(f)
	default:
		in.w.suffer(f)
	}
}

// canceled ends a call that was taken out, as its handler would.
func (in *input) canceled(id uint64) bool {
	if _, ok := in.cut[id]; ok {
		delete(in.cut, id)
		in.w.out.answer(id, &rpc.RemoteError{Code: rpc.CodeCancelled, Message: "canceled before it was complete", NotRun: true})
		return false
	}
	if _, ok := in.hanging[id]; !ok {
		return true
	}
	delete(in.hanging, id)
	in.w.out.answer(id, context.Canceled)
	if len(in.hanging) == 0 && in.held != nil {
		in.pass, in.held = in.held, nil
	}
	return false
}

// shutdown is held back while calls hang, unless they are to be canceled.
func (in *input) shutdown(h framing.Header, payload []byte) bool {
	var how struct {
		Mode string `msgpack:"mode"`
	}
	_ = msgpack.Unmarshal(payload, &how) // the broker's messages are well formed
	if how.Mode == "now" {
		in.release()
	}
	if len(in.hanging) == 0 {
		return true
	}
	in.held = append(h.Append(nil), payload...)
	return false
}

// release ends the calls that hang.
func (in *input) release() {
	for id := range in.hanging {
		delete(in.hanging, id)
		in.w.out.answer(id, context.Canceled)
	}
}

// leave says goodbye to the broker, once.
func (in *input) leave() {
	in.mu.Lock()
	last, left := in.last, in.left
	in.left = true
	in.mu.Unlock()
	if !left {
		in.w.out.goodbye(last)
	}
}

func (in *input) accepted() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.last
}
