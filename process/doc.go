// Package process runs one child process so that nothing of it is left behind.
//
// [Start] runs a program. The caller gets its standard input and output as a [Stream] of raw pipes; the rest looks after itself:
//
//   - Standard error is always read, so it can never fill up and block the program. Its lines go to the log, the last 64 KiB are kept for error
//     messages.
//   - The death is noticed without anybody waiting for it, and without a thread for each child. What is left of the process group is killed, then
//     the child is reaped: there are no zombies.
//   - What the child has started and what has left its group, as daemons do, is looked for then, killed and named in the [Report].
//   - A signal is sent to the group, and only as long as the child has not been reaped. It cannot hit a stranger that got the same pid.
//
// # Two endings
//
// A process has [Process.Exited] when it is dead and reaped. It has [Process.Ended] when its standard error has also been read to the end, and the
// search for what it has left behind is over: some milliseconds later, or more when somebody who was not found still holds the pipe, or many
// processes die at once. Options.DrainTimeout bounds the reading, 2 s bound the search. The last output of a dead process may still wait in the
// Stream, so read until nothing is left there, and do not count on an end of file.
//
// The [Report] tells how it ended: with a code or by a signal, and whether that was our doing. Who ends a process says why with
// [Process.Blame], so that "stopped by us (idle)" and a crash can be told apart.
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
// no new privileges. What cannot be had is an error of Start that names the field and wraps errors.ErrUnsupported; nothing is left out in
// silence. A process of another user can be ended, and dies with this program, only if this program may send it signals: as root, or with CAP_KILL.
//
// Limits.Memory is kept by the kernel where this program may make control groups. That takes Linux 5.14 with cgroup v2 and, under systemd, the
// settings Delegate=memory and DelegateSubgroup=main for the service, so that the group above this program's is its own. Set up by hand, that
// group needs the attribute user.delegate=1 and no processes in it. A child then starts in a group beside ours, all of which is killed with it:
// no descendant stays, not even a daemon that Options.SpareStrays would spare.
//
// Elsewhere one goroutine looks at the resident memory of all limited processes, with their process groups, every 250 ms, or less often when that
// would take more than a tenth of one processor's time. It sees neither descendants that have left the group nor growth between two looks: a
// machine that is short of memory wants the control group.
//
// # When this program dies
//
// The child's standard input ends, and it receives TERM. A program that heeds either is gone. One that ignores both stays, unless Options.Guard
// is set: then a guardian, one small shell for all such children, kills their process groups as soon as this program is dead, also by KILL. They
// have no time left to clean up. Daemons are not in the group, and the guardian does not know them.
//
// # What is left behind
//
// A process that leaves its group cannot be found by it. But all that a child starts inherits a mark in its environment, the variable
// STDCREW_CHILD, and who carries the mark of a process that has exited is killed, through a descriptor that stands for that process and no other.
// One look through /proc serves all processes that have exited meanwhile, and takes about 15 ms of a processor where there are 1,000 processes; the
// next look begins no sooner than ten times as long after it, or half a second.
//
// Not found are: who was started with an environment of its own, who removed the variable or wrote over its place in memory, who has become
// another user (unless this program is root), and who runs where this program has no /proc, or that of another PID namespace. Daemons on purpose
// are started in one of these ways, or Options.SpareStrays is set for the child. A host that was itself started by this package hands on the
// marks it carries, so what it leaves when it dies is found by whoever started it.
//
// A process whose parent is dead is reaped by init, or by this program if it is the init of a container or has called [Subreaper]. Then the package
// reaps those that were in the groups of its children and those that it found by their mark, each by its number, and no others: what the
// program has started by other means keeps its exit. Orphans of other origin are for the program to reap.
//
// # Systems and tests
//
// Children are supported on Linux and macOS. Elsewhere Start returns an error that is errors.ErrUnsupported. [StartFunc] works everywhere: it runs a function
// in place of a program, behind the same *Process, with pipes, signals, an exit code and a report. Tests of code that handles processes need no
// children with it, and can run in a testing/synctest bubble.
//
// On Linux one thread forks all children and lives as long as the program, because the kernel sends the parent-death signal when the thread
// that forked ends. A program that ignores signals is seen with a handler for them while a child is being forked, since a child would ignore
// them too otherwise.
//
// On macOS one kernel queue gives notice of all exits. What that system does not offer is either refused or missing:
//
//   - The field Limits of a Command is refused, as errors.ErrUnsupported.
//   - The child receives no signal when this program dies. Its standard input ends; Options.Guard works as on Linux.
//   - What has left its group is not looked for: Report.Strays is nil, and no mark is set.
//   - [Process.RSS] is errors.ErrUnsupported, Report.OOM is empty, and the Stream lacks Unread.
//   - Command.Self runs the file that this program was started from, which may have been replaced since.
package process
