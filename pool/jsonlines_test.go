package pool

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/rpc"
)

// jsonLines is a dialect in line-delimited JSON. It proves that a pool needs nothing of package rpc's wire, and most tests of this package
// use it, because its workers are easily made to misbehave: see program.
type jsonLines struct {
	slow time.Duration // the reader takes its time before each line
}

// jsonLine is every message of the dialect.
type jsonLine struct {
	Hello    int             `json:"hello,omitempty"` // from the worker, first: the calls that it takes at a time
	Loading  string          `json:"loading,omitempty"`
	Ready    bool            `json:"ready,omitempty"`
	Unable   string          `json:"unable,omitempty"` // instead of ready
	Slot     *int            `json:"slot,omitempty"`   // to the worker: the welcome
	ID       int             `json:"id,omitempty"`
	Method   string          `json:"method,omitempty"`
	Args     json.RawMessage `json:"args,omitempty"`
	Attempt  int             `json:"attempt,omitempty"`
	Cancel   bool            `json:"cancel,omitempty"`
	Reply    json.RawMessage `json:"reply,omitempty"`
	Error    string          `json:"error,omitempty"`
	NotRun   bool            `json:"notrun,omitempty"`
	Shutdown string          `json:"shutdown,omitempty"`
	Goodbye  string          `json:"goodbye,omitempty"`
	Ping     bool            `json:"ping,omitempty"`
}

func (d jsonLines) Connect(ctx context.Context, s Stream, o ConnOptions) (Conn, error) {
	c := &jsonConn{
		stream: s, o: o, calls: map[int]*jsonCall{},
		greeted: make(chan error, 1), pong: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go c.read(d.slow)
	select {
	case err := <-c.greeted:
		if err != nil {
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

type jsonConn struct {
	stream   Stream
	o        ConnOptions
	capacity int
	greeted  chan error
	pong     chan struct{}
	done     chan struct{}
	err      error // set before done is closed

	writing sync.Mutex

	mu      sync.Mutex
	last    int
	calls   map[int]*jsonCall
	refused error // why no further call is taken
}

// jsonCall has its place until it is taken out of the map.
type jsonCall struct {
	freed func()
	ended chan jsonEnd // buffered; nil once it has been told
}

type jsonEnd struct {
	line jsonLine
	err  error
}

func (c *jsonConn) read(slow time.Duration) {
	lines := bufio.NewReader(c.stream)
	ready := false
	for {
		time.Sleep(slow)
		text, err := lines.ReadBytes('\n')
		if err != nil {
			c.end(err, ready)
			return
		}
		var l jsonLine
		if err := json.Unmarshal(text, &l); err != nil {
			c.end(&rpc.ProtocolError{Err: fmt.Errorf("%w in %q", err, text)}, ready)
			return
		}
		switch {
		case ready:
			c.handle(l)
		case l.Hello != 0:
			c.capacity = l.Hello
			c.write(jsonLine{Slot: &c.o.Slot})
		case l.Loading != "":
			c.o.Starting(l.Loading)
		case l.Unable != "":
			c.greeted <- &rpc.InitError{Message: l.Unable}
			return
		case l.Ready:
			ready = true
			c.greeted <- nil
		}
	}
}

func (c *jsonConn) end(err error, ready bool) {
	c.err = err
	close(c.done)
	if !ready {
		c.greeted <- fmt.Errorf("no hello: %w", err)
	}
}

func (c *jsonConn) handle(l jsonLine) {
	switch {
	case l.Goodbye != "":
		c.mu.Lock()
		c.refused = rpc.ErrGoodbye
		c.mu.Unlock()
		c.o.Goodbye(l.Goodbye)
	case l.Ping:
		c.pong <- struct{}{}
	case l.ID != 0:
		c.mu.Lock()
		call := c.calls[l.ID]
		delete(c.calls, l.ID)
		c.mu.Unlock()
		if call != nil {
			call.freed()
			call.tell(jsonEnd{line: l})
		}
	}
}

// tell tells the caller how the call ended, unless it has been told. The call must be out of the map, or mu be held.
func (c *jsonCall) tell(e jsonEnd) {
	if c.ended != nil {
		c.ended <- e
		c.ended = nil
	}
}

func (c *jsonConn) write(l jsonLine) {
	text, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_, _ = c.stream.Write(append(text, '\n'))
}

func (c *jsonConn) Call(ctx context.Context, method string, args, reply any, o rpc.CallOptions) error {
	encoded, err := json.Marshal(args)
	if err != nil {
		o.Freed()
		return &rpc.CallError{Delivery: rpc.NotSent, Err: fmt.Errorf("%w: %w", rpc.ErrEncode, err)}
	}
	ended := make(chan jsonEnd, 1)
	c.mu.Lock()
	if c.refused != nil {
		err := c.refused
		c.mu.Unlock()
		o.Freed()
		return &rpc.CallError{Delivery: rpc.NotSent, Err: err}
	}
	c.last++
	id := c.last
	c.calls[id] = &jsonCall{freed: o.Freed, ended: ended}
	c.mu.Unlock()
	c.write(jsonLine{ID: id, Method: method, Args: encoded, Attempt: o.Attempt})
	select {
	case e := <-ended:
		return e.decode(reply)
	case <-ctx.Done():
		c.write(jsonLine{ID: id, Cancel: true})
		return &rpc.CallError{Err: context.Cause(ctx)}
	}
}

func (e jsonEnd) decode(reply any) error {
	switch {
	case e.err != nil:
		return &rpc.CallError{Err: e.err}
	case e.line.Error != "":
		return &rpc.RemoteError{Code: e.line.Error, Message: "said the worker", NotRun: e.line.NotRun}
	case reply == nil:
		return nil
	}
	if err := json.Unmarshal(e.line.Reply, reply); err != nil {
		return &rpc.CallError{Delivery: rpc.Answered, Err: fmt.Errorf("%w: %w", rpc.ErrDecode, err)}
	}
	return nil
}

func (c *jsonConn) Capacity() int { return c.capacity }

func (c *jsonConn) Ping(ctx context.Context) error {
	c.write(jsonLine{Ping: true})
	select {
	case <-c.pong:
		return nil
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *jsonConn) Shutdown(now bool, _ time.Duration) error {
	if now {
		c.write(jsonLine{Shutdown: "now"})
	} else {
		c.write(jsonLine{Shutdown: "drain"})
	}
	return nil
}

func (c *jsonConn) CloseWrite(context.Context) error { return c.stream.CloseWrite() }

func (c *jsonConn) Abort(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = cause
	for _, call := range c.calls {
		call.tell(jsonEnd{err: cause})
	}
}

func (c *jsonConn) Drain(cause error) {
	<-c.done // at the end of a dead process's output
	c.Abort(cause)
	c.mu.Lock()
	lost := c.calls
	c.calls = make(map[int]*jsonCall)
	c.mu.Unlock()
	for _, call := range lost {
		call.freed()
	}
}

// InFlight tells how many there are, and no more: none of them is ever stuck.
func (c *jsonConn) InFlight() []rpc.InFlight {
	c.mu.Lock()
	defer c.mu.Unlock()
	return make([]rpc.InFlight, len(c.calls))
}

func (c *jsonConn) Close() error {
	err := c.stream.Close()
	<-c.done
	return err
}

func (c *jsonConn) Done() <-chan struct{} { return c.done }

func (c *jsonConn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}
