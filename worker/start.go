package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

const (
	startingEvery = time.Second // how often the host hears that the worker is still starting
	initErrorWait = time.Second // for the host to take an init_error, the last that it hears, and to close
	maxStack      = 8 << 10     // bytes of the stack of a panic in Start
)

// start makes the worker ready. An error is that of a worker that cannot start, and the host knows it. A connection that ends, or is to end,
// meanwhile is no error here.
func (c *connection) start(ctx context.Context) error {
	if c.problem != nil {
		return c.cannotStart(c.problem)
	}
	if c.options.Start == nil {
		close(c.loaded)
	} else {
		loaded, err := c.load(ctx)
		if err != nil {
			return c.cannotStart(err)
		}
		if !loaded {
			return nil
		}
	}
	if c.peer.Ready() == nil { // an error is the connection's end
		c.options.Log.Info("ready")
	}
	return nil
}

// load runs Start and tells the host now and then that it does. It reports false when the worker is to end before Start has.
func (c *connection) load(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := make(chan error, 1)
	go func() { // ends with Start, which is waited for as handlers are
		defer close(c.loaded)
		result <- guard(ctx, c.options.Start)
	}()
	tick := time.NewTicker(startingEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-result:
			if err != nil && c.isEnding(ctx) {
				return false, nil // that is why
			}
			return true, err
		case <-tick.C:
			_ = c.peer.Starting("still starting") // an error is the connection's end
		case <-c.leaving:
			return false, nil
		case <-ctx.Done():
			return false, nil
		case <-c.peer.Done():
			return false, nil
		}
	}
}

// isEnding reports whether the worker is to end, whatever Start says.
func (c *connection) isEnding(ctx context.Context) bool {
	select {
	case <-c.leaving:
	case <-ctx.Done():
	case <-c.peer.Done():
	default:
		return false
	}
	return true
}

// guard calls start and makes an error of a panic.
func guard(ctx context.Context, start func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			stack := debug.Stack()
			err = &panicError{value: r, stack: string(stack[:min(len(stack), maxStack)])}
		}
	}()
	return start(ctx)
}

// panicError is a Start that panicked.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("Start panicked: %v", e.value) }

// startError says why the worker cannot start.
type startError struct{ err error }

func (e *startError) Error() string { return "the worker cannot start: " + oneLine(e.err) }

func (e *startError) Unwrap() error { return e.err }

// oneLine joins the lines of joined errors.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// cannotStart tells the host why, and returns it. It gives the host time to close the connection first: a host that is still writing would find
// it broken, and might report that.
func (c *connection) cannotStart(err error) error {
	detail := ""
	if p := (*panicError)(nil); errors.As(err, &p) {
		detail = p.stack
	}
	_ = c.peer.InitError(oneLine(err), detail) // an error is the connection's end
	patience, cancel := context.WithTimeout(context.Background(), initErrorWait)
	defer cancel()
	c.flush(patience)
	select {
	case <-c.peer.Done():
	case <-patience.Done():
	}
	return &startError{err}
}
