package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/stdcrew/stdcrew/rpc"
)

// Error is an error with a code, and data if wanted, that reaches the caller as it is. A handler returns one, wrapped or not, to let callers
// tell its failures apart; any other error arrives with the code "error".
type Error = rpc.RemoteError

// Worker is a set of handlers, and how to serve them. Make one with [New].
type Worker struct {
	options Options

	mu       sync.Mutex
	handlers map[string]rpc.HandlerFunc
	problems []error // what was wrong with options and handlers
}

// New makes a worker without handlers. Options that make no sense are reported by Run and Serve, and to the host.
//
// In a process that a host has started, the first New takes standard input and output away from the program: what is printed from here
// on goes to standard error.
func New(o Options) *Worker {
	standard.startedByHost()
	w := &Worker{handlers: make(map[string]rpc.HandlerFunc)}
	resolved, err := o.resolve()
	w.options = resolved
	w.report(err)
	return w
}

// Handle has calls of that method answered by f. The name is 1 to 255 bytes long, and each name has one handler; mistakes are reported by
// Run and Serve, and to the host. Handlers are registered before Run or Serve: a connection has those that are there when it begins.
//
// The arguments are decoded into a fresh In, which is f's to keep; if they do not fit, the call fails without f. What f returns is encoded at once, but
// a []byte or msgpack.RawMessage of 16 KiB and more is sent from where it is and must stay as it is until it has been sent: a worker with one call in
// flight may write to it in its next call, others leave it alone. msgpack.RawMessage as In or Out is the MessagePack value itself.
//
// ctx ends when the caller gives up, when its time is over, and when the worker is to end. f is called on several goroutines at
// a time if the worker has more than one call in flight. A panic in f fails that call alone, and the caller sees the stack.
func Handle[In, Out any](w *Worker, name string, f func(ctx context.Context, in In) (Out, error)) {
	if f == nil {
		w.report(fmt.Errorf("the handler of %q is nil", name))
		return
	}
	isStruct := reflect.TypeFor[Out]().Kind() == reflect.Struct
	w.handle(name, func(ctx context.Context, r *rpc.Request) (any, error) {
		var in In
		if err := r.Decode(&in); err != nil {
			return nil, err
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		if isStruct {
			return &out, nil // the encoder is faster where it can take addresses
		}
		return out, nil
	})
}

// HandleBytes is [Handle] for methods whose arguments and result are bytes, and spares a copy of them: in is valid until f has returned and what it
// returned has been sent. f may return in, or a part of it, but keeps nothing of it.
func HandleBytes(w *Worker, name string, f func(ctx context.Context, in []byte) ([]byte, error)) {
	if f == nil {
		w.report(fmt.Errorf("the handler of %q is nil", name))
		return
	}
	w.handle(name, func(ctx context.Context, r *rpc.Request) (any, error) {
		in, err := r.Bytes()
		if err != nil {
			return nil, err
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	})
}

func (w *Worker) handle(name string, h rpc.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch _, taken := w.handlers[name]; {
	case name == "":
		w.problems = append(w.problems, errors.New("a handler has no name"))
	case len(name) > maxMethodName:
		w.problems = append(w.problems, fmt.Errorf("the method name %.64q… is %d bytes long; %d is the limit", name, len(name), maxMethodName))
	case taken:
		w.problems = append(w.problems, fmt.Errorf("the method %q has two handlers", name))
	default:
		w.handlers[name] = h
	}
}

func (w *Worker) report(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, err)
}

// methods are the names of the handlers, in order.
func (w *Worker) methods() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.handlers))
}

// problem is everything that was wrong with options and handlers, or nil.
func (w *Worker) problem() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.problems...)
}
