// Package broker runs crews of worker processes behind one call.
//
// An application names its pools, each a program and how many processes of it there may be, and calls their methods:
//
//	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
//		"images": {Command: broker.Command{Path: "image-worker"}, Max: 8},
//	}})
//	defer b.Close()
//
//	var out Thumbnail
//	err = b.Call(ctx, "images.resize", ResizeArgs{Width: 200, Data: jpeg}, &out)
//	out, err = broker.Call[Thumbnail](ctx, b, "images.resize", ResizeArgs{Width: 200, Data: jpeg})
//
// Workers are started when calls need them, kept while they are used, stopped when they have been idle, and replaced when they die. A worker
// that crashes hurts only its own calls. Package worker is for writing them in Go; docs/protocol.md is what others speak. [Self] makes the
// application its own worker program.
//
// # When a call fails
//
// Every error is an [Error]. Its Class says whose matter it is, its Delivery whether the call may have been executed:
//
//	what happened                                       Class        Delivery             transient  Retryable
//	unknown pool or method, arguments cannot be sent    caller       not executed         no         no
//	the reply does not fit out                          caller       answered             no         no
//	the context or Timeout ended                        context      not executed, or     no         if not executed
//	                                                                 may have been
//	the broker is closed (ErrClosed)                    caller       likewise             no         no
//	the handler returned an error or panicked           remote       answered             no         no
//	queue full, QueueTimeout, pool stopping,            unavailable  not executed         yes        yes
//	no worker can be started
//	the worker died, broke the protocol, was killed,    interrupted  not executed, or     yes        if not executed
//	CallTimeout                                                      may have been
//
// docs/errors.md explains every error and what to do about it. Transient means errors.Is(err, [ErrTransient]): a later try may succeed. [Retryable] means that it is safe whatever the call does.
//
// The broker itself repeats a call when its worker was lost and the call was certainly not executed, or it is [Idempotent]: a bounded number of
// times, at the head of the queue, and out of a budget that keeps a failure of all workers from being multiplied. A call that may have crashed its
// worker gets the next one alone; when it has crashed three that way it is [ErrPoison], and another try cannot help. Nothing else is
// repeated: if no worker can be had the caller decides how long to wait.
//
// # Values
//
// Arguments and answers are MessagePack, by github.com/vmihailenco/msgpack/v5 and its struct tags; a msgpack.RawMessage is taken as it is. A type with the methods
//
//	MarshalMsg(b []byte) ([]byte, error)   // appends the value to b
//	UnmarshalMsg(b []byte) ([]byte, error) // takes a value from b, keeps nothing of b, and returns the rest
//
// is encoded and decoded by these where it is the whole argument or answer, or a pointer to it: github.com/tinylib/msgp generates them, and a struct
// then costs a fraction of what reflection takes. Both sides need them, or field names and an order that agree. Inside another value the
// library's own rules hold. What comes from the other side is checked before UnmarshalMsg sees it.
//
// # Leases
//
// Calls of one pool may go to a different worker each. Those that build on what earlier ones have left in the worker, such as an open document or a
// session, need the same one, which [Pool.Acquire] gives:
//
//	lease, err := b.Pool("db").Acquire(ctx)
//	if err != nil {
//		return err
//	}
//	defer lease.Release()
//	err = lease.Call(ctx, "begin", nil, nil)
//	err = lease.Call(ctx, "insert", row, nil)
//	err = lease.Call(ctx, "commit", nil, nil)
//
// A lease takes one of the worker's places from Acquire to Release, and its calls run one after another. Nothing is repeated on a lease, whatever
// the options of a call say: if the worker is lost so is what it knew, and the lease fails with [ErrLeaseLost] from then on. A worker with a lease
// is not idle; when it is to be replaced, or the broker is shut down, a lease counts as a call in flight, until RetireGrace or the context
// of Shutdown is over.
//
// # Looking at a broker
//
// [Broker.Snapshot] is what all pools look like at one moment, with what has been counted. [Broker.Events] tells what happens to workers as it happens:
//
//	for e := range b.Events(ctx) {
//		slog.Info("broker", "event", e) // or e.Kind, e.Pool, e.Reason …; as JSON, too
//	}
//
// # Time and ends
//
// The caller's context is obeyed always: while the call waits, while it is being written, while the worker ignores it. Shutdown serves what has
// been accepted, Close does not; both leave no process behind.
package broker
