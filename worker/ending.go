package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stdcrew/stdcrew/rpc"
)

// closeWait is for goroutines that a stream holds which cannot be closed.
const closeWait = 100 * time.Millisecond

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
	c.settle(c.peer.Goodbye(reason, true))
	return err
}

// settle waits for Start and the handlers and until what they answered is written, at most for the grace.
func (c *connection) settle(answered <-chan struct{}) {
	grace, cancel := context.WithTimeout(context.Background(), c.options.ExitGrace)
	defer cancel()
	for _, over := range []<-chan struct{}{c.loaded, answered} {
		select {
		case <-over:
		case <-grace.Done():
			c.options.Log.Warn("leaving handlers behind", "reason", "their grace is over")
		}
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
	go func() { // ends with the last Read and Write
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
