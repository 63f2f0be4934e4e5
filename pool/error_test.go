package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

func TestError_Text(t *testing.T) {
	exit := Exit{Pool: "images", Slot: 3, Calls: 118, Report: process.Report{
		PID: 812, Code: -1, Signal: process.KILL, Uptime: 4*time.Minute + 12*time.Second, StderrTail: "out of paper\nout of ink\n",
	}}
	cases := []struct {
		e    Error
		want string
	}{
		{
			Error{Pool: "images", Method: "resize", Slot: 3, PID: 812, Class: ClassInterrupted, Err: exit},
			"images.resize: worker images/3 (pid 812) interrupted: killed by signal 9 (KILL) after 4m12s, 118 calls; may have been executed; stderr: out of paper | out of ink",
		},
		{
			Error{Pool: "images", Method: "resize", Slot: -1, Class: ClassUnavailable, Delivery: rpc.NotSent, Err: ErrQueueFull},
			"images.resize: unavailable: queue is full; not executed",
		},
		{
			Error{Pool: "images", Method: "resize", Slot: 0, PID: 7, Class: ClassInterrupted, Delivery: rpc.NotSent, Attempts: 3, Err: rpc.ErrGoodbye},
			"images.resize: worker images/0 (pid 7) interrupted (attempt 3): the worker has said goodbye; not executed",
		},
		{
			Error{Pool: "images", Method: "resize", Slot: 0, PID: 7, Class: ClassRemote, Delivery: rpc.Answered, Err: &rpc.RemoteError{Code: "no_paper", Message: "tray 2 is empty"}},
			"images.resize: worker images/0 (pid 7) failed: no_paper: tray 2 is empty",
		},
		{
			Error{Pool: "images", Method: "resize", Slot: 0, PID: 7, Class: ClassCaller, Delivery: rpc.Answered, Err: rpc.ErrDecode},
			"images.resize: worker images/0 (pid 7) answered: reply does not fit",
		},
		{
			Error{Pool: "images", Method: "resize", Slot: -1, Class: ClassContext, Delivery: rpc.NotSent, Err: context.DeadlineExceeded},
			"images.resize: given up: context deadline exceeded; not executed",
		},
		{
			Error{Pool: "images", Method: "resize", Slot: -1, Class: ClassCaller, Delivery: rpc.NotSent, Err: ErrClosed},
			"images.resize: refused: pool is closed; not executed",
		},
		{Error{Pool: "images", Slot: -1, Class: ClassCaller, Err: rpc.ErrDecode}, "images: cut off: reply does not fit; may have been executed"},
		{Error{Slot: -1, Class: ClassUnavailable, Delivery: rpc.NotSent, Err: ErrQueueFull}, "call: unavailable: queue is full; not executed"},
	}
	for _, cs := range cases {
		require.EqualError(t, &cs.e, cs.want)
	}
}

func TestError_StderrIsBounded(t *testing.T) {
	e := &Error{Slot: -1, Err: Exit{Report: process.Report{PID: 1, StderrTail: strings.Repeat("é", 10_000) + "\xff the end\n\n"}}}
	text := e.Error()
	require.Less(t, len(text), 2*maxTailText)
	require.True(t, strings.HasSuffix(text, "? the end"), text)
}

// TestRetryable goes through the table in its doc.
func TestRetryable(t *testing.T) {
	cases := []struct {
		class                Class
		delivery             rpc.Delivery
		transient, retryable bool
	}{
		{ClassCaller, rpc.NotSent, false, false},
		{ClassCaller, rpc.Answered, false, false},
		{ClassCaller, rpc.Unknown, false, false},
		{ClassContext, rpc.NotSent, false, true},
		{ClassContext, rpc.Unknown, false, false},
		{ClassRemote, rpc.Answered, false, false},
		{ClassUnavailable, rpc.NotSent, true, true},
		{ClassInterrupted, rpc.NotSent, true, true},
		{ClassInterrupted, rpc.Unknown, true, false},
	}
	for _, cs := range cases {
		var err error = &Error{Class: cs.class, Delivery: cs.delivery, Err: errors.New("x")}
		err = fmt.Errorf("wrapped: %w", err)
		require.Equal(t, cs.retryable, Retryable(err), "%v %v", cs.class, cs.delivery)
		require.Equal(t, cs.transient, errors.Is(err, ErrTransient), "%v %v", cs.class, cs.delivery)
	}
	require.False(t, Retryable(nil))
	require.False(t, Retryable(errors.New("another")))
	require.False(t, Retryable(context.Canceled))
}

func TestClassify(t *testing.T) {
	live := context.Background()
	canceled, cancel := context.WithCancel(live)
	cancel()
	timedOut, cancel := context.WithTimeoutCause(live, -1, ErrCallTimeout)
	defer cancel()
	soon := &deadlineContext{live, time.Now().Add(-time.Millisecond)}
	remote := func(code string, notRun bool) error { return &rpc.RemoteError{Code: code, NotRun: notRun} }
	cut := func(d rpc.Delivery, err error) error { return &rpc.CallError{Delivery: d, Err: err} }
	boom := errors.New("boom")
	cases := []struct {
		name      string
		ctx, call context.Context
		err       error
		class     Class
		delivery  rpc.Delivery
		is        error
	}{
		{"handler's error", live, live, remote("x", false), ClassRemote, rpc.Answered, nil},
		{"handler's error with a code of ours", live, live, remote(rpc.CodeUnknownMethod, false), ClassRemote, rpc.Answered, nil},
		{"panic", live, live, remote(rpc.CodePanic, false), ClassRemote, rpc.Answered, nil},
		{"malformed reply", live, live, remote(rpc.CodeBadReply, false), ClassRemote, rpc.Answered, nil},
		{"unknown method", live, live, remote(rpc.CodeUnknownMethod, true), ClassCaller, rpc.NotSent, nil},
		{"bad arguments", live, live, remote(rpc.CodeBadArgs, true), ClassCaller, rpc.NotSent, nil},
		{"too large for the worker", live, live, remote(rpc.CodeTooLarge, true), ClassCaller, rpc.NotSent, nil},
		{"overloaded", live, live, remote(rpc.CodeOverloaded, true), ClassInterrupted, rpc.NotSent, nil},
		{"shutting down", live, live, remote(rpc.CodeShuttingDown, true), ClassInterrupted, rpc.NotSent, nil},
		{"cut off by the worker's end", live, live, remote(rpc.CodeShuttingDown, false), ClassInterrupted, rpc.Unknown, nil},
		{"canceled by the worker", live, live, remote(rpc.CodeCancelled, true), ClassInterrupted, rpc.NotSent, nil},
		{"canceled by us", canceled, canceled, remote(rpc.CodeCancelled, false), ClassContext, rpc.Answered, context.Canceled},
		{"the worker saw the deadline first", soon, soon, remote(rpc.CodeDeadline, false), ClassContext, rpc.Answered, context.DeadlineExceeded},
		{"the worker saw CallTimeout first", live, timedOut, remote(rpc.CodeDeadline, true), ClassInterrupted, rpc.NotSent, ErrCallTimeout},
		{"a deadline of the handler's own", live, live, remote(rpc.CodeDeadline, false), ClassRemote, rpc.Answered, nil},
		{"unencodable", live, live, cut(rpc.NotSent, fmt.Errorf("%w: chan", rpc.ErrEncode)), ClassCaller, rpc.NotSent, rpc.ErrEncode},
		{"too large", live, live, cut(rpc.NotSent, rpc.ErrTooLarge), ClassCaller, rpc.NotSent, rpc.ErrTooLarge},
		{"does not fit", live, live, cut(rpc.Answered, rpc.ErrDecode), ClassCaller, rpc.Answered, rpc.ErrDecode},
		{"closed, sent", live, live, cut(rpc.Unknown, ErrClosed), ClassCaller, rpc.Unknown, ErrClosed},
		{"closed, not sent", live, live, cut(rpc.NotSent, ErrClosed), ClassCaller, rpc.NotSent, ErrClosed},
		{"caller's context", canceled, canceled, cut(rpc.Unknown, context.Canceled), ClassContext, rpc.Unknown, context.Canceled},
		{"caller's context, not sent", canceled, canceled, cut(rpc.NotSent, context.Canceled), ClassContext, rpc.NotSent, context.Canceled},
		{"CallTimeout", live, timedOut, cut(rpc.Unknown, ErrCallTimeout), ClassInterrupted, rpc.Unknown, ErrCallTimeout},
		{"CallTimeout by its plain name", live, timedOut, cut(rpc.Unknown, context.DeadlineExceeded), ClassInterrupted, rpc.Unknown, ErrCallTimeout},
		{"somebody else's context", live, live, cut(rpc.Unknown, context.Canceled), ClassInterrupted, rpc.Unknown, nil},
		{"death", live, live, cut(rpc.Unknown, boom), ClassInterrupted, rpc.Unknown, boom},
		{"death before it was sent", live, live, cut(rpc.NotSent, boom), ClassInterrupted, rpc.NotSent, boom},
		{"death as the context ended", canceled, canceled, cut(rpc.Unknown, boom), ClassInterrupted, rpc.Unknown, boom},
		{"an error of no known kind", live, live, boom, ClassInterrupted, rpc.Unknown, boom},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			class, delivery, cause := classify(cs.ctx, cs.call, cs.err)
			require.Equal(t, cs.class, class)
			require.Equal(t, cs.delivery, delivery)
			if cs.is != nil {
				require.ErrorIs(t, cause, cs.is)
			}
			if errors.Is(cs.is, ErrCallTimeout) {
				require.NotErrorIs(t, cause, context.DeadlineExceeded)
			}
		})
	}
}

// deadlineContext has a deadline that is over and an error that does not say so yet.
type deadlineContext struct {
	context.Context
	at time.Time
}

func (c *deadlineContext) Deadline() (time.Time, bool) { return c.at, true }
