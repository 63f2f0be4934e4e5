package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stdcrew/stdcrew/rpc"
)

// classify says of an error that a connection's Call returned whose matter it is, what is known of the call, and the bare cause. ctx is the
// caller's own context, call the one that the call had.
func classify(ctx, call context.Context, err error) (Class, rpc.Delivery, error) {
	var remote *rpc.RemoteError
	if errors.As(err, &remote) {
		return classifyRemote(ctx, call, remote, err)
	}
	delivery, cause := rpc.Unknown, err
	var cut *rpc.CallError
	if errors.As(err, &cut) {
		delivery, cause = cut.Delivery, cut.Err
	}
	switch {
	case errors.Is(cause, rpc.ErrEncode), errors.Is(cause, rpc.ErrTooLarge):
		return ClassCaller, rpc.NotSent, cause
	case errors.Is(cause, rpc.ErrDecode):
		return ClassCaller, rpc.Answered, cause
	case errors.Is(cause, ErrClosed):
		return ClassCaller, delivery, cause
	case endedBy(ctx, cause):
		return ClassContext, delivery, contextError(ctx)
	case endedBy(call, cause):
		return ClassInterrupted, delivery, ErrCallTimeout
	default:
		return ClassInterrupted, delivery, cause
	}
}

// classifyRemote tells apart what the handler said, what the worker said without asking the handler, and the echo of a context's end: the
// worker has been told the deadline and may notice it first.
func classifyRemote(ctx, call context.Context, e *rpc.RemoteError, err error) (Class, rpc.Delivery, error) {
	delivery := rpc.Answered
	if e.NotRun {
		delivery = rpc.NotSent
	}
	switch {
	case e.Code == rpc.CodeDeadline && passed(ctx), e.Code == rpc.CodeCancelled && ctx.Err() != nil:
		return ClassContext, delivery, contextError(ctx)
	case e.Code == rpc.CodeDeadline && passed(call):
		return ClassInterrupted, delivery, ErrCallTimeout
	case e.Code == rpc.CodeShuttingDown && !e.NotRun:
		return ClassInterrupted, rpc.Unknown, err // the worker's end has cut it off
	case !e.NotRun:
		return ClassRemote, rpc.Answered, err
	}
	switch e.Code {
	case rpc.CodeUnknownMethod, rpc.CodeBadArgs, rpc.CodeTooLarge:
		return ClassCaller, rpc.NotSent, err
	case rpc.CodeOverloaded, rpc.CodeShuttingDown, rpc.CodeCancelled:
		return ClassInterrupted, rpc.NotSent, err
	default:
		return ClassRemote, rpc.Answered, err
	}
}

// isLeaving says that the worker has begun to stop, and so refused the call or cut it off. It takes no further ones, although it may say goodbye much
// later, when others have ended.
func isLeaving(err error) bool {
	if err == nil {
		return false // before remote is made: it is on the heap, and this is the hot path
	}
	var remote *rpc.RemoteError
	return errors.As(err, &remote) && remote.Code == rpc.CodeShuttingDown
}

// passed says that a context's deadline is over, also where its error does not say so yet.
func passed(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// endedBy says that a call ended because this context did.
func endedBy(ctx context.Context, cause error) bool {
	return ctx.Err() != nil && (errors.Is(cause, ctx.Err()) || errors.Is(cause, context.Cause(ctx)))
}

// contextError is the error of a context that has ended, with the cause if it was given one.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil {
		return context.DeadlineExceeded // its timer is about to fire
	}
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// answered says that the worker itself ended the call.
func answered(err error) bool {
	if err == nil {
		return true
	}
	var remote *rpc.RemoteError
	if errors.As(err, &remote) {
		return true
	}
	var cut *rpc.CallError
	return errors.As(err, &cut) && cut.Delivery == rpc.Answered
}
