// Package rpc carries calls between a host and a worker process over one pair of byte streams.
//
// A [Peer] is one end of a connection, and both ends are the same type: either side calls the other with [Peer.Call] and answers with a
// [Handler]. [Connect] does the host's half of the handshake, [Announce] the worker's. The bytes are those of docs/protocol.md; package
// framing cuts them into frames. What starts processes, keeps them and repeats calls is built on top, in packages process, pool and broker.
//
// # Who reads
//
// There is no goroutine that reads for all and hands answers over: waking the right one costs more than the call. Whoever waits reads. A
// caller that has sent its call takes the reading role if nobody has it, gives other callers the answers that it meets, passes the role on
// to the oldest of them when its own answer has come, and decodes after that. The role is a field under the Peer's mutex, so whoever
// leaves, for whatever reason, sees whether it has been granted the role and passes it on.
//
// A reader sits in a Read that knows nothing of contexts. A goroutine that the connections of a [Group] share looks at all active ones every
// millisecond, in place of a timer for each call: a caller that has been reading since the last look is moved off the stream ([Interrupter]), a
// goroutine reads in its place, and the caller waits like the others, for its answer or for the end of its context. The same goroutine reads a
// connection that has been quiet for some milliseconds, so that its end is seen. Where a stream cannot be interrupted that goroutine reads always.
//
// On a worker that takes one call at a time the goroutine that reads runs the handler. If the handler takes longer than the sweeper's
// interval, or calls the host, another goroutine takes over reading: pings are answered and cancels arrive whatever handlers do. With more
// calls at a time handlers run on goroutines that are used again and again, but for those that have been found to be quick, at a microsecond or
// so each: the goroutine that reads runs them too, and writes the answers to what it has read together. If handlers are slow after all, others wait
// for some milliseconds at most, until another goroutine reads, and for a fiftieth of the time all in all: then handlers have goroutines again. If
// one crashes the process, those answers are lost that had not been written.
//
// Beyond that the reader waits for nobody: not for handlers, not for callbacks, not for room to write.
//
// # Who writes
//
// One goroutine at a time touches the descriptor, the holder of a gate. Whoever finds the gate open writes its own frame, without blocking
// ([TryWriter]), and then what others have queued meanwhile, all of it in one write. What does not fit into the pipe is left to a goroutine.
// Queued bytes are bounded, senders that find no room wait for it or for the end of their context, and messages longer than the other side's
// largest frame are cut, so that small calls, cancels and pings pass between the parts of large ones.
//
// A caller need not be awake to send. A [Prepared] call is encoded before it has a connection, and sent by whoever finds a place for it, such as the
// reader of the answer by which that became free ([Peer.Start]). What the reader starts while it deals with one read goes out in one write.
//
// # What a caller can rely on
//
//   - Call returns soon after its context ends, also where the worker does not read. A call that has not been sent is withdrawn. For one that
//     has, the worker is told, and its place stays taken until the worker has answered: CallOptions.Freed says when, exactly once per call.
//   - Every error is a [*RemoteError], the other side's answer, or a [*CallError], whose Delivery is NotSent only if the call has certainly not
//     been executed and never will be.
//   - Arguments and reply belong to the caller: neither is touched after Call has returned, and what was decoded shares no memory with
//     the connection. A [Request] belongs to its handler until that returns.
//   - Nothing that the other side sends takes memory beyond the limits agreed in the handshake: lengths are checked before anything is
//     allocated, MessagePack before it is decoded.
//
// # How it ends
//
// Done is closed when the stream has ended or is of no further use, and [Peer.Err] says why: io.EOF, a [*ProtocolError] that quotes what
// made no sense, a read or write error. Calls in flight then fail, or, with HostOptions.HoldLost, wait for the owner of the process, who knows
// why it died:
//
//   - [Peer.Abort] fails them with a cause and leaves the stream open, to tell the worker to shut down.
//   - [Peer.Drain] is for a process that is gone. It first delivers the complete replies that are still in the pipe, even where a grandchild
//     holds the pipe open.
//   - [Peer.Close] closes the stream and waits for the Peer's goroutines; handlers' contexts end, handlers are not waited for.
//
// A worker that stops says goodbye when its calls have been answered ([Peer.Goodbye]); calls that cross the goodbye fail as not executed.
package rpc
