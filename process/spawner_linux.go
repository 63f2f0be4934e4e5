package process

import (
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// spawner returns the one spawner of this program, started on first use.
var spawner = sync.OnceValue(func() *threadSpawner { return newSpawner(nil) })

// noNewPrivsSpawner returns the one for children that get no new rights. They inherit that from the thread that forks them, and a thread that has given
// the rights up cannot have them back.
var noNewPrivsSpawner = sync.OnceValue(func() *threadSpawner {
	return newSpawner(func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
})

// threadSpawner forks children on one thread that lives as long as this program. The kernel sends the parent-death signal when the
// thread that forked ends, and threads of Go programs come and go.
type threadSpawner struct {
	prepare  func() error  // makes the thread what it is for; nil: nothing is to be made
	prepared chan struct{} // closed when it is ready
	unfit    error         // why prepare failed; set before prepared is closed
	requests chan spawnRequest
}

// newSpawner returns when the spawner's thread is there. If unfit is set, it is of no use.
func newSpawner(prepare func() error) *threadSpawner {
	s := &threadSpawner{prepare: prepare, prepared: make(chan struct{}), requests: make(chan spawnRequest)}
	// Never ends: see threadSpawner.
	go s.run()
	<-s.prepared
	return s
}

type spawnRequest struct {
	program string
	argv    []string
	attr    *syscall.ProcAttr
	forked  func(pid int)      // nil: nothing to do
	result  chan<- spawnResult // has a buffer of one
}

type spawnResult struct {
	pid int
	err error
}

// spawn starts the program and returns its pid. attr.Sys.PidFD is set when it does. forked, if not nil, is called on the spawner's thread as soon as
// there is a pid, and must not block.
func (s *threadSpawner) spawn(program string, argv []string, attr *syscall.ProcAttr, forked func(pid int)) (int, error) {
	result := make(chan spawnResult, 1)
	s.requests <- spawnRequest{program, argv, attr, forked, result}
	r := <-result
	return r.pid, r.err
}

func (s *threadSpawner) run() {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The main thread stands for the whole program, in /proc for example. While it is held here, the other goroutine gets another.
		// Never ends: it is the spawner in place of this one.
		go s.run()
		<-s.prepared
		runtime.UnlockOSThread()
		return
	}
	if s.prepare != nil {
		s.unfit = s.prepare()
	}
	close(s.prepared)
	for r := range s.requests {
		r.result <- r.fork()
	}
}

// forking is held from before a fork until the signals are as they were: which are ignored is the same for all threads.
var forking sync.Mutex

func (r spawnRequest) fork() spawnResult {
	forking.Lock()
	defer forking.Unlock()
	defer unignoreSignals()()
	pid, err := syscall.ForkExec(r.program, r.argv, r.attr)
	if err == nil && r.forked != nil {
		r.forked(pid)
	}
	return spawnResult{pid, err}
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
