// Package process runs one child process so that nothing of it is left behind.
//
// [Start] runs a program. The caller gets its standard input and output as a [Stream] of raw pipes; the rest looks after itself:
//
//   - Standard error is always read, so it can never fill up and block the program. Its lines go to the log, the last 64 KiB are kept for error messages.
//   - The death is noticed without anybody waiting for it, and without a thread for each child. What is left of the process group is killed, then
//     the child is reaped: there are no zombies.
//   - A signal is sent to the group, and only as long as the child has not been reaped. It cannot hit a stranger that got the same pid.
//
// # Two endings
//
// A process has [Process.Exited] when it is dead and reaped. It has [Process.Ended] when its standard error has also been read to the end. The
// two differ when a grandchild that has left the group still holds the pipe; Options.DrainTimeout bounds the wait for it. The last output of
// a dead process may still wait in the Stream, so read until nothing is left there, and do not count on an end of file.
//
// The [Report] tells how it ended: with a code or by a signal, and whether that was our doing. Who ends a process says why with
// [Process.Blame], so that "stopped by us (idle)" and a crash can be told apart.
//
// # Managed streams
//
// [StartManaged] is for programs that are watched rather than talked to. No stream is the caller's then:
//
//   - What the program is to read is queued and delivered: [Managed.Write] blocks within a context while the queue is long, [Managed.Attach] draws
//     from a reader as there is room.
//   - What it writes is handed to functions, for which [Lines] cuts it into lines. [Managed.Pause] stops the reading, and nothing else.
//   - Each stream can be closed, and ManagedOptions.Lost tells when and why it has been.
//
// Such a process has ended when all of its output has been handed over, or DrainTimeout is over, and the functions have returned.
//
// # Identity and limits
//
// A [Command] may name another user (Credential), further files to pass on (ExtraFiles) and [Limits]: memory, the system's resource limits,
// no new privileges. What cannot be had is an error of Start that names the field and wraps errors.ErrUnsupported; nothing is left out in silence.
//
// Limits.Memory is kept by the kernel where this program may make control groups. That takes Linux 5.14 with cgroup v2 and, under systemd, the
// settings Delegate=memory and DelegateSubgroup=main for the service, so that the group above this program's is its own. Set up by hand, that group
// needs the attribute user.delegate=1 and no processes in it. A child then starts in a group beside ours, all of which is killed with it, so
// that no descendant stays, not even a daemon that Options.SpareStrays would spare. Elsewhere one goroutine looks at the resident memory of all limited processes, with their process
// groups, every 250 ms, or less often when that would take more than a tenth of one processor's time. What it cannot see are descendants that
// have left the group, and growth between two looks: a machine that is short of memory wants the control group.
//
// A process of another user can be ended only by who may send it signals, and dies with this program only then: root, or CAP_KILL.
//
// # Ending a process
//
// Programs are asked before they are killed. The ladder is data, a list of [Rung]:
//
//	ask (a message, say)   wait StopGrace
//	close standard input   wait CloseGrace
//	TERM, then CONT        wait KillGrace
//	KILL
//
// [Process.Do] takes one step and leaves the waiting to the caller. [Process.Stop] climbs a whole ladder.
//
// # When this program dies
//
// The child's standard input ends, and it receives TERM. A program that heeds either is gone. One that ignores both stays.
//
// # Without children
//
// [StartFunc] runs a function in place of a program, behind the same *Process: it has pipes, signals, an exit code and a report. Tests of
// code that handles processes need no children with it, can run in a testing/synctest bubble, and work on every system.
//
// # Systems
//
// Children are supported on Linux. Elsewhere Start returns an error that is errors.ErrUnsupported; StartFunc works everywhere.
//
// On Linux one thread forks all children and lives as long as the program, because the kernel sends the parent-death signal when the thread
// that forked ends. A program that ignores signals is seen with a handler for them while a child is being forked, since a child would ignore
// them too otherwise.
package process
