package process

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// source is our end of a pipe that the process writes. One goroutine reads; Interrupt and Close may come from another.
type source interface {
	io.ReadCloser
	// TryRead reads what is there, also after Interrupt. When nothing is, its error is syscall.EAGAIN.
	TryRead(p []byte) (int, error)
	// Interrupt makes a Read under way, and later ones, return os.ErrDeadlineExceeded.
	Interrupt()
}

const (
	// readChunk is how much is read at once. Each output that we read keeps that much for as long as the process lives.
	readChunk = 4 << 10

	// lastBytes is how much is still read after the reading has been called off: what fits into the pipe. Beyond it somebody is still
	// writing, who was not the process.
	lastBytes = 64 << 10

	// lastRead is how long a reader that has been called off gets for it. Only a log handler that blocks takes longer.
	lastRead = 100 * time.Millisecond
)

// output reads one of the streams that a process writes, until it ends, is closed or is called off.
type output struct {
	src  source
	keep func(data []byte) // receives all that is read, at once
	end  func()            // called after the last keep
	done chan struct{}     // closed when the reading is over
	held bool              // it was called off before the end; set before done is closed

	// The rest is for managed streams alone.
	pass   func(data []byte) // receives what is read while gate is open; nil: nobody
	gate   *gate
	lost   func(error)   // called once, at the end
	off    chan struct{} // closed when gate no longer counts: the reading has been called off, or closed
	letGo  sync.Once
	closed atomic.Bool // we closed it: what was read and is not passed on yet is dropped
}

func newOutput(src source) *output {
	return &output{
		src:  src,
		keep: func([]byte) {},
		end:  func() {},
		done: make(chan struct{}),
		lost: func(error) {},
		off:  make(chan struct{}),
	}
}

// run is the reading goroutine.
func (o *output) run() {
	defer close(o.done)
	err := o.read()
	// From here on nobody reads: who still writes gets EPIPE, in place of a full pipe.
	_ = o.src.Close()
	o.end()
	if err == io.EOF || o.closed.Load() {
		err = nil
	}
	o.held = err == ErrHeld
	o.lost(err)
}

// read returns why the reading is over, io.EOF at the end.
func (o *output) read() error {
	chunk := make([]byte, readChunk)
	for {
		n, err := o.src.Read(chunk)
		o.take(chunk[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return o.readRest(chunk)
		}
		if err != nil {
			return err
		}
	}
}

// readRest takes what is in the pipe.
func (o *output) readRest(chunk []byte) error {
	for rest := lastBytes; rest > 0; {
		n, err := o.src.TryRead(chunk)
		o.take(chunk[:n])
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
			return err
		}
		if err != nil {
			break
		}
		rest -= n
	}
	return ErrHeld
}

func (o *output) take(data []byte) {
	if len(data) == 0 {
		return
	}
	o.keep(data)
	if o.pass == nil {
		return
	}
	o.gate.wait(o.off)
	if !o.closed.Load() {
		o.pass(data)
	}
}

// over is closed when the reading is over.
func (o *output) over() <-chan struct{} { return o.done }

// callOff makes the reader take what is in the pipe, and leave. A pause ends with it.
func (o *output) callOff() {
	o.letGo.Do(func() { close(o.off) })
	o.src.Interrupt()
}

// close ends the reading at once.
func (o *output) close() error {
	o.closed.Store(true)
	o.letGo.Do(func() { close(o.off) })
	return o.src.Close()
}

// gate stops readers while it is shut. The zero gate is open.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when the gate opens; nil while it is open
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// wait waits until the gate is open or off is closed.
func (g *gate) wait(off <-chan struct{}) {
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut == nil || isClosed(off) {
			return
		}
		select {
		case <-shut:
		case <-off:
		}
	}
}
