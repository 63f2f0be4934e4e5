package pool

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/stdcrew/stdcrew/rpc"
)

// Dialect is a language that workers speak. If Options has none, it is the one of package rpc.
type Dialect interface {
	// Connect does the handshake with a process that has just been started, and returns when the worker takes calls. When ctx ends it
	// returns soon; ctx governs the handshake alone, not the connection. If it fails it leaves the stream open.
	Connect(ctx context.Context, s Stream, o ConnOptions) (Conn, error)
}

// Stream is a worker's standard output to read from and its standard input to write to. Close ends both, CloseWrite the input alone.
type Stream = interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// ConnOptions is what a pool tells a connection, and what it wants to be told. None of the functions blocks, and all may be called from
// any goroutine.
type ConnOptions struct {
	Pool       string
	Slot       int
	OwnGroup   bool // the worker's process group is its own
	InFlight   int  // calls at a time that the pool wants; 0: what the worker declares
	MaxMessage int  // bytes of a message that the pool takes; 0: the dialect's default
	Log        *slog.Logger

	// CancelGrace is how long the worker may take to answer a call whose caller has left; 0: no time. After that the call is stuck, as InFlight
	// tells, and Stuck is to be called.
	CancelGrace time.Duration
	Stuck       func()
	// WriteStall is how long the worker may leave unread what is being written to it, FrameStall how long it may stop in the middle of a
	// message; negative: for ever. After that the connection ends with rpc.ErrWriteStall or rpc.ErrFrameStall.
	WriteStall, FrameStall time.Duration
	// Heartbeat is how long a worker that has calls, and answers while it is busy, may be silent before it is asked for a sign of life; negative: for
	// ever. After two more such times the connection ends with rpc.ErrHang.
	Heartbeat time.Duration

	// Goodbye is to be called when the worker says that it takes no further calls.
	Goodbye func(reason string)
	// Starting is to be called when the worker says during the handshake that it is still loading.
	Starting func(message string)
}

// Conn is what a pool asks of the connection to one worker. *rpc.Peer is one. Call, InFlight, Ping and Done may be used by any goroutines at once,
// the rest is the pool's.
//
// A Call fails with an *rpc.RemoteError if the worker answered with an error, otherwise with an *rpc.CallError; any other error counts
// as one whose delivery is unknown.
type Conn interface {
	// Call encodes args, sends the call, and decodes the answer into reply, which is a pointer, or nil to discard it. When ctx ends it
	// returns at once. o.Freed is to be called exactly once, when the call's place on the worker is free again: the worker has answered, the
	// call was never sent, or the connection has ended. That may be long after Call has returned.
	Call(ctx context.Context, method string, args, reply any, o rpc.CallOptions) error
	// InFlight returns the calls whose places are not free.
	InFlight() []rpc.InFlight
	// Capacity is how many calls the worker takes at a time.
	Capacity() int
	// Ping returns when the worker has given a sign of life.
	Ping(ctx context.Context) error

	// Shutdown asks the worker to finish: its calls first, or now by canceling them. It has that long before the pool goes on.
	Shutdown(now bool, grace time.Duration) error
	// CloseWrite ends the worker's standard input when what waits to be written is flushed, or when ctx ends.
	CloseWrite(ctx context.Context) error
	// Abort fails the calls in flight with this cause, and further ones too. The stream stays open.
	Abort(cause error)
	// Drain is called when the process has exited: it delivers the complete answers that can still be read and fails the other calls in
	// flight with this cause. Until Abort or Drain, calls cut off by the end of the stream wait.
	Drain(cause error)
	// Close closes the stream and waits for the connection's goroutines.
	Close() error

	// Done is closed when the worker's output has ended, makes no sense, or stalls. Err then says why: io.EOF for an end between two
	// messages, an *rpc.ProtocolError for nonsense, rpc.ErrWriteStall, rpc.ErrFrameStall and rpc.ErrHang.
	Done() <-chan struct{}
	Err() error
}
