package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/stdcrew/stdcrew/framing"
)

// run runs the handler and sends its answer.
func (p *Peer) run(in *incoming) {
	returned := false
	defer func() {
		if !returned { // runtime.Goexit, as of a test's FailNow: this goroutine ends here, and others have to go on
			p.mu.Lock()
			p.handOverFor(in)
			p.mu.Unlock()
			in.encode(nil, &RemoteError{Code: CodePanic, Message: "the handler ended its goroutine"}, p.outLimit)
			p.respond(in, false)
		}
	}()
	result, err := p.invoke(in)
	in.encode(result, err, p.outLimit)
	returned = true
	p.respond(in, !in.inline)
}

// respond sends the answer. reused says that this goroutine takes further calls.
func (p *Peer) respond(in *incoming, reused bool) {
	p.mu.Lock()
	s := &p.serving
	s.running.remove(in.id) // before the answer: the next call may follow at once
	s.answering++
	quick := !in.msg.cut(p.outFrame) && len(p.out.queue) <= maxPending
	if reused && quick {
		s.idle++ // likewise
	}
	p.answer(in, quick)
	if reused && !quick {
		s.idle++
	}
	s.answering--
	p.sayGoodbye()
	p.mu.Unlock()
	in.ctx.end(context.Canceled)
	in.release()
}

// answer sends the answer's frames; locked, but unlocked while it waits or writes.
func (p *Peer) answer(in *incoming, quick bool) {
	if !quick {
		p.handOverFor(in) // it may take time
		p.room(in.msg.pending(p.outFrame), nil, nil, nil)
	}
	if in.msg.cut(p.outFrame) {
		p.pushParts(&in.msg, in.id, nil, nil)
		return
	}
	frame, tail := in.msg.whole(in.id)
	if len(tail) > 0 && in.inline && in.gen == p.serving.gen && p.corked {
		p.writeCorked() // then the tail need not be copied
	}
	p.push(frame, tail)
}

// maxStack bounds the stack of a panic in an error message, in bytes.
const maxStack = 16 << 10

// invoke calls the handler and makes an error of a panic.
func (p *Peer) invoke(in *incoming) (result any, failure *RemoteError) {
	defer func() {
		if r := recover(); r != nil {
			stack := debug.Stack()
			failure = &RemoteError{Code: CodePanic, Message: fmt.Sprint(r), Stack: string(stack[:min(len(stack), maxStack)])}
		}
	}()
	if err := in.ctx.Err(); err != nil {
		failure = in.remote(err)
		failure.NotRun = true
		return nil, failure
	}
	result, err := p.handler.ServeCall(in.ctx, &in.req)
	if err != nil {
		return nil, in.remote(err) // here, because the error's own methods may panic
	}
	return result, nil
}

// remote makes an error that can be sent of a handler's error. A call that ends because this side leaves was canceled by nobody: its caller, who
// still waits, is told why it ends.
func (in *incoming) remote(err error) *RemoteError {
	e := remote(err)
	if e.Code == CodeCancelled && in.ctx.hasLeft() {
		e.Code, e.Message = CodeShuttingDown, "this side is shutting down: "+e.Message
	}
	return e
}

// remote makes an error that can be sent of any error.
func remote(err error) *RemoteError {
	if e := (*RemoteError)(nil); errors.As(err, &e) {
		copied := *e
		copied.NotRun, copied.passedOn = e.NotRun && !e.passedOn, false
		switch {
		case copied.Code == "":
			copied.Code = CodeError
		case e.passedOn && e.Code == CodeShuttingDown:
			copied.Code, copied.Message = CodeError, e.Error()
		}
		return &copied
	}
	code := CodeError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		code = CodeDeadline
	case errors.Is(err, context.Canceled):
		code = CodeCancelled
	}
	return &RemoteError{Code: code, Message: err.Error()}
}

// encode makes the answer's message of what the handler returned.
func (in *incoming) encode(result any, e *RemoteError, limit int) {
	m := &in.msg
	if e == nil {
		m.typ, m.flags = typeReply, 0
		b, tail, err := appendBody(append(m.buf[:0], make([]byte, lead)...), result)
		if err == nil {
			m.buf, m.tail = b, tail
			if m.size() <= limit {
				return
			}
			err = errors.New(oversize(m.size(), limit))
		}
		e = &RemoteError{Code: CodeBadResult, Message: err.Error()}
	}
	m.typ, m.flags, m.tail = typeError, 0, nil
	if e.NotRun {
		m.flags = framing.NotRun
	}
	m.buf = appendError(m.buf[:0], e, limit)
}

// appendError encodes e behind the lead, without its data where that is no valid value or too large.
func appendError(b []byte, e *RemoteError, limit int) []byte {
	b = append(b, make([]byte, lead)...)
	whole, err := appendValue(b, e)
	if err == nil && len(whole)-lead <= limit && (len(e.Data) == 0 || checkValue(e.Data) == nil) {
		return whole
	}
	short := &RemoteError{Code: e.Code[:min(len(e.Code), maxClip/4)], Message: clip(e.Message)}
	whole, _ = appendValue(b[:lead], short) // two strings always encode
	return whole
}

// maxClip bounds, in bytes, a text that has to fit into the smallest frame.
const maxClip = 512

func clip(s string) string { return s[:min(len(s), maxClip)] }
