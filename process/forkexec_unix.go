//go:build linux || darwin

package process

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// forking is held from before a fork until the signals are as they were: which are ignored is the same for all threads.
var forking sync.Mutex

// forkExec starts a program that ignores no signals. forked, if not nil, is called as soon as there is a pid.
func forkExec(program string, argv []string, attr *syscall.ProcAttr, forked func(pid int)) (int, error) {
	forking.Lock()
	defer forking.Unlock()
	defer unignoreSignals()()
	pid, err := syscall.ForkExec(program, argv, attr)
	if err == nil && forked != nil {
		forked(pid)
	}
	return pid, err
}

// unignoreSignals makes the signals that this program ignores have a handler until restore is called. A child inherits that a signal is
// ignored, but not that it has a handler: those are back to their default. A signal that arrives in between is dropped, which is what
// ignoring means.
func unignoreSignals() (restore func()) {
	var ignored []os.Signal
	for n := syscall.Signal(1); n < signalLimit; n++ {
		if signal.Ignored(n) {
			ignored = append(ignored, n)
		}
	}
	if len(ignored) == 0 {
		return func() {}
	}
	// Not received from: Notify drops what does not fit.
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, ignored...)
	return func() { signal.Ignore(ignored...) }
}
