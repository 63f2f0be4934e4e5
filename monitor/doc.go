// Package monitor keeps plain programs running: those that know nothing of this module, and have no calls to answer.
//
//	m, err := monitor.New(monitor.Options{OnEvent: func(e monitor.Event) { log.Print(e) }})
//	…
//	err = m.Add("web", process.Command{Path: "/usr/bin/web-server", Args: []string{"-port", "8080"}}, monitor.ProgramOptions{})
//	…
//	err = m.Run(ctx) // starts all, keeps them running until ctx ends, stops all
//
// Programs are added under names, with their arguments, their environment and their directory; no shell is involved. They can be added and
// removed at any time. [Monitor.Run] fits an errgroup; [Monitor.Start] and [Monitor.Stop] are its two halves.
//
// # When a program ends
//
// It is started again, whatever its exit code. If it has lived for Threshold (1 s) that happens at once. If it died earlier, or could not be
// started, it waits first: for MinDelay (1 s), and twice as long each further time in a row, up to MaxDelay (1 h). The first long life sets the
// delay back. ProgramOptions can ask for less zeal: StopOnSuccess, MaxAttempts.
//
// Long enough means healthy only for programs that either work or die at once. For others, say how they show that they are ready: by a line
// that they write, a file that they make, or a probe such as a request. Then a program that dies before it is ready has died early, however
// long it took, and one that is not ready within ReadyTimeout is ended.
//
// # When a program is to end
//
// It receives TERM, and KILL after KillTime (5 s), as does its process group. [Monitor.Restart] ends a program that way and brings it back at
// once: a death that was asked for is no sign of trouble. [Monitor.Remove] ends it and forgets it. At most one process of a name runs at any
// time, also if a name is removed and added again while the old process is dying. Nothing is left behind when Stop, Run or Remove return nil; if
// their time is over before, they return which programs are left.
//
// # What a monitor tells
//
// Everything that happens is an [Event]: starts, exits, waits, and each line that a program writes. There are two ways to receive them.
//
//   - Options.OnEvent is called with each, in order. It may take its time with lines: the program whose output nobody takes waits, as it
//     would at a pipe. Nothing else waits, neither an exit nor a kill nor a restart; if OnEvent is so slow that hundreds of those pile up,
//     some are dropped and counted.
//   - [Monitor.Events] is an iterator for any number of onlookers, who never hold up a program. Who is too slow misses events, and is told
//     how many.
//
// [Monitor.Snapshot] says what all programs look like now.
//
// # One program to its end
//
// [Watch] is for programs that have something to do and then exit, such as a backup: it runs one, hands each line of its output to a function, one
// at a time, and returns how it went. The first failure is the result, whether the program's exit, an error of that function, or silence for
// too long; the program is then asked to end, and killed if it does not. [StartWatch] returns a [Watcher] in its place, to end the program on
// request and to add notifications of one's own.
//
// # In tests
//
// Options.Start can start in-memory programs, with process.ManageFunc. A monitor of those works in a testing/synctest bubble, where an hour of
// back-off takes no time.
package monitor
