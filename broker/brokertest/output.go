package brokertest

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
)

// output is a worker's standard output as the SDK writes it, with room between the SDK's frames for what faults say. All methods may be called by
// any goroutines at once.
type output struct {
	dst    io.WriteCloser
	gate   chan struct{} // holds a value while somebody writes; waiting for a mutex would stop the clock of a bubble
	silent chan struct{} // closed when nothing is written any more
	hush   func()        // closes silent
	ready  chan struct{} // closed when the worker has said that it is ready

	// Only who holds the gate touches these.
	header []byte // the begun part of a header
	body   int    // bytes of the frame under way that are missing
	ours   []byte // waits for the end of that frame
}

func newOutput(dst io.WriteCloser) *output {
	o := &output{dst: dst, gate: make(chan struct{}, 1), silent: make(chan struct{}), ready: make(chan struct{})}
	o.hush = sync.OnceFunc(func() { close(o.silent) })
	return o
}

// mute has all that is written from here on disappear.
func (o *output) mute() { o.hush() }

// Write passes on what the SDK writes.
func (o *output) Write(p []byte) (int, error) {
	o.gate <- struct{}{}
	defer func() { <-o.gate }()
	if isClosed(o.silent) {
		return len(p), nil
	}
	ready := o.follow(p)
	n, err := o.dst.Write(p)
	if err == nil {
		o.flush()
	}
	if ready {
		close(o.ready)
	}
	return n, err
}

// Close closes the pipe.
func (o *output) Close() error { return o.dst.Close() }

// follow keeps track of where frames end, and says whether the one is among them that says that the worker is ready.
func (o *output) follow(p []byte) (ready bool) {
	for len(p) > 0 {
		if o.body == 0 {
			n := min(framing.HeaderSize-len(o.header), len(p))
			o.header, p = append(o.header, p[:n]...), p[n:]
			if len(o.header) == framing.HeaderSize {
				h, _ := framing.Parse(o.header) // the SDK's headers are possible
				o.header, o.body = o.header[:0], int(h.Length)
				ready = ready || h.Type == typeReady
			}
			continue
		}
		n := min(o.body, len(p))
		o.body, p = o.body-n, p[n:]
	}
	return ready
}

// insert writes bytes of ours when the frame under way has ended.
func (o *output) insert(b []byte) {
	o.gate <- struct{}{}
	defer func() { <-o.gate }()
	o.ours = append(o.ours, b...)
	o.flush()
}

func (o *output) flush() {
	if len(o.ours) == 0 || o.body > 0 || len(o.header) > 0 || isClosed(o.silent) {
		return
	}
	_, _ = o.dst.Write(o.ours) // fails if the process is dead
	o.ours = nil
}

// answer ends a call with an error, as a handler that returns it.
func (o *output) answer(id uint64, err error) {
	e := remote(err)
	h := framing.Header{Type: typeError, ID: id}
	if e.NotRun {
		h.Flags = framing.NotRun
	}
	b, err := msgpack.Marshal(e)
	if err == nil { // strings and bytes always encode
		o.insert(cut(h, b))
	}
}

// goodbye says that no call above last is accepted.
func (o *output) goodbye(last uint64) {
	b, err := msgpack.Marshal(map[string]any{"reason": "told to by the test", "last_id": last})
	if err == nil { // likewise
		o.insert(cut(framing.Header{Type: typeGoodbye}, b))
	}
}

// cut makes frames of a message, small enough for every host.
func cut(h framing.Header, body []byte) (frames []byte) {
	if len(body) > framing.MinFrame {
		body = append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	}
	for {
		n := min(len(body), framing.MinFrame)
		part := h
		part.Length = uint32(n)
		if n < len(body) {
			part.Flags |= framing.More
		}
		frames = append(part.Append(frames), body[:n]...)
		if body = body[n:]; len(body) == 0 {
			return frames
		}
	}
}
