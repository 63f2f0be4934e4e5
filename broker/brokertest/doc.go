// Package brokertest lets users test their own code, which calls a broker, without child processes.
//
// A test gives the handlers of each pool, and hands the broker that New makes to the code under test:
//
//	b := brokertest.New(t, brokertest.Pools{
//		"images": {Handlers: func(w *brokertest.Worker) {
//			brokertest.Handle(w, "resize", func(ctx context.Context, in ResizeArgs) (Thumbnail, error) { … })
//		}},
//	})
//	server := NewServer(b.Broker)
//
// The broker is a real one, and so are its pool, the protocol and the worker's side of it. Only the processes are in memory: each worker runs on
// goroutines of the test, and its pipes are buffers. Hence the texts of errors, what they say about execution, retries, delays and limits are those
// of production; give the pool the options of production to see them. Handlers can be the functions that the real worker registers, or whatever
// the test needs.
//
// # Faults
//
// What goes wrong is said beforehand, for the next calls of a method or the next workers that start, or now:
//
//	images := b.Pool("images")
//	images.Next("resize", 1, brokertest.Killed(11, "segmentation fault"))
//	images.NextStart(3, brokertest.Exit(1, "no license"))
//	images.Now(brokertest.Freeze())
//
// A fault takes the call's place before a handler sees it; all that has none passes untouched. The ways to each error:
//
//	error                                 how
//	caller                                call an unknown method, or with arguments that do not fit
//	caller, ErrClosed                     Close the broker
//	context                               Next with Hang; the caller's context or broker.Timeout ends
//	remote                                Next with Answer, or a handler that returns an error
//	interrupted, may have been executed   Next with Exit, Killed, Garbage or Interrupted(broker.Unknown)
//	interrupted, ErrPoison                Next with Exit, three times, for a call that is Idempotent
//	interrupted, not executed             Next with Interrupted(broker.NotSent)
//	interrupted, ErrCallTimeout           Next with Hang, and PoolOptions.CallTimeout
//	unavailable, a boot error             NextStart with Answer, which fails at once, or with Exit three times
//	unavailable, ErrQueueFull             Next with Hang, PoolOptions.Max 1 and Queue -1, and a second call
//	unavailable, ErrQueueTimeout          Next with Hang, PoolOptions.Max 1 and QueueTimeout, and a second call
//	unavailable, ErrStopping              Next with Hang, PoolOptions.Max 1, a second call, and Pool.Stop
//	repeated by the broker and served     Next with Goodbye; with Exit for a call that is Idempotent
//
// # Time
//
// In a testing/synctest bubble all delays pass at once: timeouts, back-off, idle time, graces. Call New in the bubble. synctest.Wait returns
// when every call waits for something, which is how a test knows that a pool is busy or that a crash has been noticed.
//
// Outside of a bubble the delays are real. A worker that dies without having answered a call is replaced after PoolOptions.Restart, one second
// if it is not set; workers that do not end at once are given StopGrace and what follows.
//
// # What is different from processes
//
//   - Workers share the test's memory: global variables of the handlers, the log, the standard streams of the test.
//   - A panic on a goroutine that a handler has started ends the test. A handler that does not heed its context is not ended with its
//     process; if it outlives the broker by ten seconds it fails the test.
//   - A worker is ended by TERM at once, without the grace that the SDK gives its handlers.
//   - A call whose worker dies before it has read it may count as executed: buffers do not tell what has been read.
package brokertest
