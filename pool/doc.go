// Package pool keeps a crew of worker processes that run the same program.
//
// A [Pool] starts workers when callers need them, up to Options.Max, and stops them when they have been idle for Options.IdleTimeout, down
// to Options.Min. [Pool.Call] runs a call on the worker with the fewest calls in flight; callers that find none free wait, first come
// first served. What goes over the pipe is the business of a [Dialect]: encoding happens in its connections, and neither args nor reply is
// looked at here.
//
// # When something fails
//
// Every error of a call is an [Error]. Its Class says whose matter it is, its Delivery whether the call may have been executed, its text
// names the worker and what became of it:
//
//	images.resize: worker images/3 (pid 812) interrupted: killed by signal 9 (KILL) after 4m12s, 118 calls; may have been executed; stderr: …
//
// A worker that dies hurts its own calls and no others. [Retryable] tells whether a failed call may be repeated whatever it does; for
// calls that may be repeated anyway, errors.Is with [ErrTransient] tells whether that can help. A pool itself repeats nothing.
//
// # The life of a worker
//
// Each slot of a pool is a place for one process at a time and a state machine: stopped, starting, ready, stopping, waiting_ready. The
// machine is a table, and docs/states.md shows it. A process is launched, does the handshake, is given to the start hook, and only then
// serves callers. It ends on a ladder: it is asked, its standard input is closed, it gets TERM, then KILL, with a grace after each. From
// the first sign of its end it gets no further calls, and its slot is free for the next process when it is gone and reaped.
//
// A process that does not become ready, or dies without having been of use, is replaced after a delay that doubles from Restart.Min to
// Restart.Max. One that has answered a call, or was ready for a minute, is replaced at once. When three processes in a row did not become ready
// and there is no other worker, or when the program does not exist or says itself that it cannot start, the pool is in a crash loop: callers
// fail with the reason instead of waiting. When the delay is over one process is started, and those who call meanwhile wait for it. If it becomes
// ready the loop is over, and others are started as they are needed; if not, callers fail again, for twice as long.
//
// # Replacing workers
//
// A worker that has answered Options.MaxCalls calls, is Options.MaxAge old or has Options.MaxRSS of memory is replaced; [Pool.Reload] replaces
// all of them by workers of another version, after it has tried one. The successor becomes ready first, beside a full crew if need be: see
// Options.Surge. Then the worker gets no further calls, and is stopped when those that it has are done. [Pool.Resize] changes Options.Min and Max.
//
// # Looking at a pool
//
// [Pool.Snapshot] is what a pool looks like at one moment, and all that has been counted. [Pool.Events] is what happens to it and its workers, as it
// happens: starts and failures, ends and their reasons, delays, crash loops. Nobody is waited for: a subscriber that is too slow learns how much it
// has missed.
//
// # Ending
//
// [Pool.Stop] ends the workers and leaves the pool open: the next call starts one. [Pool.Shutdown] serves the calls that have come, and
// closes. [Pool.Close] closes at once. All of them are bounded, may be called at any time and several times, and leave no process behind.
package pool
