package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/framing"
)

// Handler answers the calls of the other side. ServeCall runs on several goroutines at once if more than one call was agreed, but while it is found
// to be quick anyway. ctx ends when the caller gives up, its time is over, or the connection ends. result is anything that MessagePack encodes; a
// []byte or msgpack.RawMessage of 16 KiB and more is sent from where it is, and must not change before: with one call at a time, until the next
// one. A *RemoteError is sent as it is, any other error with the code "error"; a panic is an error with the code "panic".
type Handler interface {
	ServeCall(ctx context.Context, r *Request) (result any, err error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, r *Request) (any, error)

// ServeCall calls f.
func (f HandlerFunc) ServeCall(ctx context.Context, r *Request) (any, error) { return f(ctx, r) }

// Request is one call as its handler sees it. It is valid until the handler returns.
type Request struct {
	Method   string
	Attempt  int // 1 for the first
	Metadata map[string]string

	budget time.Duration
	args   []byte
	body   []byte // what args are part of, if it is the request's
	buf    []byte // kept for the next request
}

// Decode decodes the arguments into what v points to. What comes of it is the handler's to keep and to change; but bytes that are large may be those
// that a further Decode, or Bytes, looks at. A handler that has done nothing yet returns the error as it is: it tells the caller that the handler has
// not run.
func (r *Request) Decode(v any) error {
	taken, err := decodeBody(r.args, v, r.body != nil)
	if taken {
		r.body = nil
	}
	return r.misfit(err)
}

// Bytes returns the arguments, which must be nothing but bytes, without copying them. They are valid until the handler's result has been sent, and so
// may be part of that.
func (r *Request) Bytes() ([]byte, error) {
	b, kind := bodyOf(r.args)
	if kind == blob {
		return b, nil
	}
	err := checkValue(r.args)
	if err == nil {
		err = errors.New("they are no bytes")
	}
	return nil, r.misfit(err)
}

// misfit makes an error for the caller of one in the arguments; nil stays nil.
func (r *Request) misfit(err error) error {
	if err == nil {
		return nil
	}
	return &RemoteError{Code: CodeBadArgs, Message: fmt.Sprintf("arguments of %s: %v", r.Method, err), NotRun: true}
}

var errPrelude = errors.New("malformed call")

// parse reads the message's prelude and keeps its arguments.
func (in *incoming) parse(m framing.Message, known methods) error {
	b := m.Body
	t, err := next(b)
	if err != nil || t.kind != array || t.n < 4 {
		return errPrelude
	}
	b = b[t.size:]
	r := &in.req
	method, rest, ok := takeMethod(b, known)
	if !ok {
		return errPrelude
	}
	budget, rest, ok := takeUint(rest)
	if !ok {
		return errPrelude
	}
	attempt, rest, ok := takeUint(rest)
	if !ok {
		return errPrelude
	}
	if rest, err = r.takeMetadata(rest); err != nil {
		return err
	}
	for range t.n - 4 { // elements of later versions
		if _, rest, err = firstValue(rest); err != nil {
			return errPrelude
		}
	}
	in.id, r.Method, r.Attempt = m.ID, method, int(min(attempt, maxAttempt))
	r.budget = time.Duration(min(budget, maxBudget)) * time.Microsecond
	if m.Owned {
		r.args, r.body = rest, m.Body
		return nil
	}
	r.buf = append(r.buf[:0], rest...)
	r.args = r.buf
	return nil
}

const (
	maxAttempt = 1 << 30
	maxBudget  = uint64(365*24*time.Hour) / uint64(time.Microsecond) // µs; longer is no limit worth a timer
)

// takeMethod reads the name of a method. For one that is known it allocates nothing.
func takeMethod(b []byte, known methods) (s string, rest []byte, ok bool) {
	t, err := next(b)
	if err != nil || t.kind != text || t.n == 0 || t.n > maxMethodName {
		return "", nil, false
	}
	s, ok = known[string(b[t.start:t.size])]
	if !ok {
		s = string(b[t.start:t.size])
	}
	return s, b[t.size:], true
}

// takeUint reads an integer that is not negative, in any form: some encoders write all integers as signed ones.
func takeUint(b []byte) (n uint64, rest []byte, ok bool) {
	t, err := next(b)
	switch {
	case err != nil:
		return 0, nil, false
	case t.kind == scalar && b[0] >= 0xd0 && b[0] <= 0xd3 && b[1] < 0x80:
		return bigEndian(b[1:t.size]), b[t.size:], true
	}
	return t.n, b[t.size:], t.kind == unsigned
}

func (r *Request) takeMetadata(b []byte) (rest []byte, err error) {
	if len(b) > 0 && b[0] == 0xc0 {
		return b[1:], nil
	}
	value, rest, err := firstValue(b)
	if err != nil {
		return nil, errPrelude
	}
	if err := decodeValue(value, &r.Metadata); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return rest, nil
}

// callContext is the context of a running handler. It costs neither a timer nor a channel until somebody asks for one.
type callContext struct {
	context.Context // values
	deadline        time.Time

	mu    sync.Mutex
	done  chan struct{}
	timer *time.Timer
	err   error
	left  bool // it ended because this side leaves, not because of the caller
}

func newCallContext(values context.Context, budget time.Duration) *callContext {
	c := &callContext{Context: values}
	if budget > 0 {
		c.deadline = time.Now().Add(budget)
	}
	return c
}

func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done != nil {
		return c.done
	}
	c.done = make(chan struct{})
	switch {
	case c.err != nil:
		close(c.done)
	case !c.deadline.IsZero():
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.end(context.DeadlineExceeded) })
	}
	return c.done
}

func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		c.set(context.DeadlineExceeded) // before the timer, if there is one
	}
	return c.err
}

// end ends the context, once.
func (c *callContext) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.set(err)
	}
}

// leave ends the context because this side leaves.
func (c *callContext) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.left = true
		c.set(context.Canceled)
	}
}

// hasLeft says whether that is what ended it.
func (c *callContext) hasLeft() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

func (c *callContext) set(err error) {
	c.err = err
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.done != nil {
		close(c.done)
	}
}
