package brokertest

import (
	"context"
	"errors"

	"github.com/stdcrew/stdcrew/rpc"
)

// remote makes of a handler's error what the SDK sends for it.
func remote(err error) *rpc.RemoteError {
	if e := (*rpc.RemoteError)(nil); errors.As(err, &e) {
		copied := *e
		if copied.Code == "" {
			copied.Code = rpc.CodeError
		}
		return &copied
	}
	code := rpc.CodeError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		code = rpc.CodeDeadline
	case errors.Is(err, context.Canceled):
		code = rpc.CodeCancelled
	}
	return &rpc.RemoteError{Code: code, Message: err.Error()}
}
