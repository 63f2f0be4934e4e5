package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
)

const (
	// defaultHighWater is what may be queued for a standard input before Write waits.
	defaultHighWater = 64 << 10
	// writePiece is how much of the queue is written at once. What has been written of a piece under way still counts as queued.
	writePiece = 16 << 10
)

// input queues what a process is to read, and delivers it. While nothing is queued it has no goroutine and no buffer.
type input struct {
	pipe      io.WriteCloser
	highWater int
	lost      func(error)   // called once, at the end
	turn      chan struct{} // one write at a time: its bytes stay together
	refused   chan struct{} // closed when refusal is set
	done      chan struct{} // closed when the pipe is, and lost has returned

	mu         sync.Mutex
	queue      []byte        // what delivery has not taken yet
	queued     int           // bytes in queue, and those that delivery has taken and not written
	delivering bool          // a goroutine delivers, or has closed the pipe
	room       chan struct{} // closed when queued is down to highWater; nil if nobody waits for it
	refusal    error         // why nothing more is queued
	source     io.Reader     // the one attached
}

func newInput(pipe io.WriteCloser, highWater int, lost func(error)) *input {
	if highWater <= 0 {
		highWater = defaultHighWater
	}
	return &input{
		pipe:      pipe,
		highWater: highWater,
		lost:      lost,
		turn:      make(chan struct{}, 1),
		refused:   make(chan struct{}),
		done:      make(chan struct{}),
	}
}

// write queues p. It waits while more than highWater is queued, and takes long writes in pieces of that, so that never more than twice
// highWater is queued.
func (in *input) write(ctx context.Context, p []byte) (n int, err error) {
	select {
	case in.turn <- struct{}{}:
		defer func() { <-in.turn }()
	case <-ctx.Done():
		return 0, notQueued(context.Cause(ctx))
	}
	for {
		piece := p[n:min(n+in.highWater, len(p))]
		if err := in.put(ctx, piece); err != nil {
			return n, err
		}
		n += len(piece)
		if n == len(p) {
			return n, nil
		}
	}
}

// put queues all of piece as soon as there is room.
func (in *input) put(ctx context.Context, piece []byte) error {
	for {
		if ctx.Err() != nil {
			return notQueued(context.Cause(ctx))
		}
		room, err := in.tryPut(piece)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-in.refused:
		case <-ctx.Done():
		}
	}
}

// tryPut queues piece, or returns the channel that is closed when there is room.
func (in *input) tryPut(piece []byte) (room <-chan struct{}, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.refusal != nil {
		return nil, notQueued(in.refusal)
	}
	if in.queued > in.highWater {
		if in.room == nil {
			in.room = make(chan struct{})
		}
		return in.room, nil
	}
	in.queue = append(in.queue, piece...)
	in.queued += len(piece)
	if len(piece) > 0 {
		in.startDelivery()
	}
	return nil, nil
}

func notQueued(why error) error { return fmt.Errorf("write to standard input: %w", why) }

// refuse makes later writes, and those that wait for room, fail. What is queued is delivered, then the pipe is closed. The first reason stays.
func (in *input) refuse(why error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.refuseLocked(why)
	in.startDelivery()
}

func (in *input) refuseLocked(why error) {
	if in.refusal == nil {
		in.refusal = why
		close(in.refused)
	}
}

// over is closed when the pipe is.
func (in *input) over() <-chan struct{} { return in.done }

// callOff closes the pipe, whatever is still queued.
func (in *input) callOff() {
	in.refuse(os.ErrClosed)
	_ = in.pipe.Close()
}

// startDelivery is called with mu held.
func (in *input) startDelivery() {
	if !in.delivering {
		in.delivering = true
		// Ends when nothing is queued, or when the pipe breaks or is closed: after the exit within DrainTimeout.
		go in.deliver()
	}
}

func (in *input) deliver() {
	var batch []byte
	for {
		var last bool
		batch, last = in.next(batch)
		if last {
			in.close(nil)
		}
		if batch == nil {
			return
		}
		if err := in.writeAll(batch); err != nil {
			in.close(err)
			return
		}
	}
}

// next takes what is queued, and leaves the space of what has been written in exchange. When nothing is queued, last tells whether nothing
// ever will be.
func (in *input) next(written []byte) (batch []byte, last bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.queue) > 0 {
		batch, in.queue = in.queue, written[:0]
		return batch, false
	}
	in.queue = nil
	in.delivering = in.refusal != nil
	return nil, in.delivering
}

func (in *input) writeAll(batch []byte) error {
	for len(batch) > 0 {
		n, err := in.pipe.Write(batch[:min(len(batch), writePiece)])
		in.written(n)
		if err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

func (in *input) written(n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.queued -= n
	if in.queued <= in.highWater && in.room != nil {
		close(in.room)
		in.room = nil
	}
}

// close is the last that delivery does. err is why it ends with something undelivered.
func (in *input) close(err error) {
	if err != nil {
		in.drop(err)
	}
	_ = in.pipe.Close()
	in.lost(err)
	close(in.done)
}

func (in *input) drop(why error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.refuseLocked(why)
	in.queue = nil
}
