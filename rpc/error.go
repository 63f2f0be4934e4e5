package rpc

import (
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// Delivery says what is known of a call's way to its handler.
type Delivery uint8

const (
	// Unknown: the call may have been executed, in part or whole. It is the zero value, because it is the safe assumption.
	Unknown Delivery = iota
	// NotSent: the call was certainly not executed.
	NotSent
	// Answered: the other side has answered it.
	Answered
)

func (d Delivery) String() string {
	switch d {
	case NotSent:
		return "not executed"
	case Answered:
		return "answered"
	default:
		return "may have been executed"
	}
}

// Codes of error messages that have a meaning for both sides. Handlers may use any others.
const (
	CodeError         = "error"          // the handler returned an error without a code
	CodePanic         = "panic"          // the handler panicked
	CodeCancelled     = "cancelled"      // a cancel ended the call
	CodeDeadline      = "deadline"       // the call's time was over
	CodeBadResult     = "bad_result"     // the handler's result cannot be sent
	CodeUnknownMethod = "unknown_method" // no such method
	CodeBadArgs       = "bad_args"       // the arguments do not fit the handler
	CodeTooLarge      = "too_large"      // the call is over the limit
	CodeOverloaded    = "overloaded"     // more calls than agreed
	CodeShuttingDown  = "shutting_down"  // the worker has begun to stop, and refuses the call or cuts it off
	CodeBadReply      = "bad_reply"      // made by the receiver: the reply is not one valid MessagePack value, or over the limit
)

// RemoteError is an error with which the other side answered a call. A handler may return one to choose its code and data.
type RemoteError struct {
	Code    string             `msgpack:"code"` // if empty, CodeError
	Message string             `msgpack:"message"`
	Data    msgpack.RawMessage `msgpack:"data,omitempty"`  // one MessagePack value, or empty
	Stack   string             `msgpack:"stack,omitempty"` // of a handler that panicked
	NotRun  bool               `msgpack:"-"`               // the handler was certainly not entered

	// passedOn says that NotRun and CodeShuttingDown are about a call which a handler made, and its other side: if it returns the error, its own call
	// has run all the same, and its own side stays.
	passedOn bool
}

func (e *RemoteError) Error() string {
	if e.Code == "" || e.Code == CodeError {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// UnknownMethod is what a Handler returns for a method that it does not have.
func UnknownMethod(method string) error {
	return &RemoteError{Code: CodeUnknownMethod, Message: fmt.Sprintf("unknown method %q", method), NotRun: true}
}

// CallError is how a call fails that got no usable answer. Err says why: ErrEncode, ErrTooLarge or ErrDecode, the context's error, or what
// ended the connection.
type CallError struct {
	Delivery Delivery
	Err      error
}

func (e *CallError) Error() string { return fmt.Sprintf("%v; %v", e.Err, e.Delivery) }

func (e *CallError) Unwrap() error { return e.Err }

var (
	// ErrEncode: the arguments cannot be encoded.
	ErrEncode = errors.New("arguments cannot be encoded")
	// ErrTooLarge: the encoded arguments are over what the other side takes.
	ErrTooLarge = errors.New("message too large")
	// ErrDecode: the reply does not fit into what the caller gave for it.
	ErrDecode = errors.New("reply does not fit")
	// ErrClosed: the connection was closed on this side.
	ErrClosed = errors.New("connection closed")
	// ErrWriteStall: the worker left unread what was being written to it, for longer than WriteStall.
	ErrWriteStall = errors.New("the worker does not read its stdin")
	// ErrFrameStall: the worker stopped in the middle of a frame, for longer than FrameStall.
	ErrFrameStall = errors.New("the worker stopped in the middle of a frame")
	// ErrHang: the worker has calls in flight, and neither sent anything nor answered a ping for three times Heartbeat.
	ErrHang = errors.New("the worker hangs")
	// ErrGoodbye: the other side has said goodbye and takes no further calls.
	ErrGoodbye = errors.New("the worker has said goodbye")
)

// ProtocolError says how the other side broke the protocol. The connection is of no further use.
type ProtocolError struct {
	Err error // such as a *framing.HeaderError, which quotes the bytes
}

func (e *ProtocolError) Error() string { return "protocol violation: " + e.Err.Error() }

func (e *ProtocolError) Unwrap() error { return e.Err }

func violation(format string, args ...any) *ProtocolError {
	return &ProtocolError{Err: fmt.Errorf(format, args...)}
}

// InitError is a worker's own word that it cannot start; trying again at once is of no use.
type InitError struct {
	Message string `msgpack:"message"`
	Detail  string `msgpack:"detail"`
}

func (e *InitError) Error() string {
	if e.Detail == "" {
		return "worker cannot start: " + e.Message
	}
	return "worker cannot start: " + e.Message + " (" + e.Detail + ")"
}

// RefusedError is a host's word that it does not want this worker.
type RefusedError struct {
	Code    string `msgpack:"code"`
	Message string `msgpack:"message"`
}

func (e *RefusedError) Error() string { return "refused by the host: " + e.Code + ": " + e.Message }
