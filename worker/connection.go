package worker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/rpc"
)

// sdk is how this package introduces itself.
const sdk = "stdcrew-go/0.1.0"

// connection is a Worker on one stream, from the hello to the end.
type connection struct {
	options  Options
	handlers map[string]rpc.HandlerFunc
	problem  error // why it cannot serve
	stream   rpc.Stream

	greeted chan struct{} // closed when the host has answered the hello, or never will
	peer    *rpc.Peer     // set before greeted; nil if the host did not answer
	refusal error         // likewise; why it did not

	loaded chan struct{} // closed when Start has returned, or need not run

	leave   sync.Once
	leaving chan struct{} // closed when the host has asked for the end
}

func (w *Worker) connection(s rpc.Stream) *connection {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &connection{
		options:  w.options,
		handlers: maps.Clone(w.handlers),
		problem:  errors.Join(w.problems...),
		stream:   s,
		greeted:  make(chan struct{}),
		loaded:   make(chan struct{}),
		leaving:  make(chan struct{}),
	}
}

// serve serves until the stream ends (nil), ctx ends (its error), or something breaks. Handlers that outlast their grace are still running
// when it returns.
func (c *connection) serve(ctx context.Context) error {
	if err := c.announce(ctx); err != nil || c.peer == nil {
		return err
	}
	if s, ok := c.stream.(sharer); ok && c.peer.Capacity() > 1 {
		s.share()
	}
	go func() { _ = c.peer.Serve() }() // ends with the stream; Peer.Err tells why
	if err := c.start(ctx); err != nil {
		return err
	}
	return c.stay(ctx)
}

// sharer is a stream that can be told that reading from it is to leave the thread to others.
type sharer interface{ share() }

// announce says hello and waits for the welcome. Where there will be none because the host is gone, it leaves peer nil.
func (c *connection) announce(ctx context.Context) error {
	go func() { // ends with the host's answer or the stream, which Announce closes when ctx ends
		defer close(c.greeted)
		c.peer, c.refusal = rpc.Announce(ctx, c.stream, rpc.WorkerOptions{Hello: c.hello(), Handler: c, Shutdown: c.shutdown})
	}()
	select {
	case <-c.greeted:
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.refusal != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return whyEnded(c.refusal)
}

func (c *connection) hello() rpc.Hello {
	h := rpc.Hello{
		SDK:        sdk,
		InFlight:   c.options.InFlight,
		Methods:    announced(slices.Sorted(maps.Keys(c.handlers))),
		Caps:       []string{rpc.CapCancel, rpc.CapBusy, rpc.CapStarted},
		MaxMessage: c.options.MaxMessage,
	}
	if h.MaxMessage > 0 && h.MaxMessage < usualFrame {
		h.MaxFrame = h.MaxMessage
	}
	return h
}

// announced is what goes into the hello: all methods or, where they do not fit, none, which means that they are not known in advance.
func announced(methods []string) []string {
	if len(methods) > maxAnnounced || len(strings.Join(methods, "")) > maxAnnouncement {
		return nil
	}
	return methods
}

// ServeCall calls the handler. It is the rpc.Handler of the connection.
func (c *connection) ServeCall(ctx context.Context, r *rpc.Request) (any, error) {
	h := c.handlers[r.Method]
	if h == nil {
		return nil, rpc.UnknownMethod(r.Method)
	}
	return h(ctx, r)
}

// shutdown is the host's request to end. The worker goes on reading until its input ends.
func (c *connection) shutdown(now bool, _ time.Duration) {
	<-c.greeted // the request may come together with the welcome
	if c.peer == nil {
		return
	}
	c.options.Log.Info("ending", "reason", "the host asked for it")
	c.leave.Do(func() { close(c.leaving) })
	c.peer.Goodbye("shutdown", now)
}

// asked reports whether the host has asked the worker to end.
func (c *connection) asked() bool {
	select {
	case <-c.leaving:
		return true
	default:
		return false
	}
}
