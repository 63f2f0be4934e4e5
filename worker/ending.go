package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stdcrew/stdcrew/rpc"
)

const (
	answerWait = 5 * time.Millisecond   // for the way of an answer from its handler to the connection
	closeWait  = 100 * time.Millisecond // for goroutines that a deaf handler, or a stream that cannot be closed, may hold
)

// stay waits for the end, and sees to it that the handlers know of it and have their grace.
func (c *connection) stay(ctx context.Context) error {
	var err error
	reason := "end of input"
	select {
	case <-c.peer.Done():
		if err = whyEnded(c.peer.Err()); err != nil {
			reason = err.Error()
		}
	case <-ctx.Done():
		err, reason = ctx.Err(), "told to end"
	}
	c.options.Log.Info("ending", "reason", reason)
	c.peer.Goodbye(reason, true)
	c.settle()
	return err
}

// settle waits for the handlers and until what they answered is written, at most for the grace.
func (c *connection) settle() {
	grace, cancel := context.WithTimeout(context.Background(), c.options.ExitGrace)
	defer cancel()
	select {
	case <-c.running.over():
		<-time.After(min(answerWait, c.options.ExitGrace))
	case <-grace.Done():
		c.options.Log.Warn("leaving handlers behind", "reason", "their grace is over")
	}
	c.flush(grace)
}

// flush waits until what is to be sent is written, or ctx ends. Nothing more is sent after it.
func (c *connection) flush(ctx context.Context) {
	_ = c.peer.CloseWrite(ctx) // an error is the connection's end
}

// close closes the stream and waits, for a moment, for the goroutines of the connection.
func (c *connection) close() {
	_ = c.stream.Close() // nobody is left to be told
	closed := make(chan struct{})
	go func() { // ends with the last Read, and the last handler on a goroutine that reads
		defer close(closed)
		<-c.greeted
		if c.peer != nil {
			_ = c.peer.Close() // likewise
		}
	}()
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
}

// whyEnded makes a result of what ended the stream. The end of input is no error.
func whyEnded(err error) error {
	var refused *rpc.RefusedError
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &refused):
		return err
	default:
		return fmt.Errorf("the connection to the host broke: %w", err)
	}
}

// running counts the handlers under way, so that their end can be awaited, once.
type running struct {
	n       atomic.Int64
	awaited atomic.Bool
	once    sync.Once
	idle    chan struct{} // closed when over has been called and none is left
}

func (r *running) begin() { r.n.Add(1) }

func (r *running) end() {
	if r.n.Add(-1) == 0 && r.awaited.Load() {
		r.once.Do(func() { close(r.idle) })
	}
}

// over returns a channel that is closed when no handler is left.
func (r *running) over() <-chan struct{} {
	r.awaited.Store(true)
	if r.n.Load() == 0 {
		r.once.Do(func() { close(r.idle) })
	}
	return r.idle
}
