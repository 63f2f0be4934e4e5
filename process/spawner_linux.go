package process

import (
	"os"
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
		pid, err := forkExec(r.program, r.argv, r.attr, r.forked)
		r.result <- spawnResult{pid, err}
	}
}
