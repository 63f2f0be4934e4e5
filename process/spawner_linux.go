package process

import (
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

// spawner returns the one spawner of this program, started on first use.
var spawner = sync.OnceValue(func() *threadSpawner {
	s := &threadSpawner{requests: make(chan spawnRequest)}
	// Never ends: see threadSpawner.
	go s.run()
	return s
})

// threadSpawner forks all children on one thread that lives as long as this program. The kernel sends the parent-death signal when the
// thread that forked ends, and threads of Go programs come and go.
type threadSpawner struct {
	requests chan spawnRequest
}

type spawnRequest struct {
	program string
	argv    []string
	attr    *syscall.ProcAttr
	result  chan<- spawnResult // has a buffer of one
}

type spawnResult struct {
	pid int
	err error
}

// spawn starts the program and returns its pid. attr.Sys.PidFD is set when it does.
func (s *threadSpawner) spawn(program string, argv []string, attr *syscall.ProcAttr) (int, error) {
	result := make(chan spawnResult, 1)
	s.requests <- spawnRequest{program, argv, attr, result}
	r := <-result
	return r.pid, r.err
}

func (s *threadSpawner) run() {
	runtime.LockOSThread()
	for r := range s.requests {
		restore := unignoreSignals()
		pid, err := syscall.ForkExec(r.program, r.argv, r.attr)
		restore()
		r.result <- spawnResult{pid, err}
	}
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

// signalLimit is above the highest signal number of Linux.
const signalLimit = 65
