//go:build !posixprocess

package process

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// soonWait bounds a wait of ReadSoon on the thread. Until then nothing else may run in a program that has one processor.
	soonWait = 100 * time.Microsecond
	// soonSkip is how many reads do not wait on the thread after one that did so in vain: what answers slowly is left to the poller.
	soonSkip = 8
	// soonInRow is how many reads in a row wait on the thread. A lone caller that makes call after call is always ready to run, and as long as
	// anybody is the scheduler does not ask the poller: other pipes and sockets would wait for the runtime's monitor to do so, every 10 ms.
	soonInRow = 8
)

// soonReaders counts the ReadSoons that wait, on the thread or in the poller.
var soonReaders atomic.Int32

// soon is what ReadSoon knows of a pipe. It is the reader's.
type soon struct {
	wait func(fd uintptr) // nil: never on the thread
	skip int              // reads until the next wait on the thread
	row  int              // waits on the thread since the last read that went to the poller
}

// init decides whether a wait on the thread can be worth it: with several processors it has been measured to cost more than it saves.
func (s *soon) init() {
	if runtime.GOMAXPROCS(0) == 1 {
		s.wait = s.waitOn
	}
}

func (s *pipeStream) ReadSoon(p []byte, lone bool) (int, error) { return s.stdout.readSoon(p, lone) }

// readSoon waits on the thread for a moment if nobody else waits for an answer: the poller serves many at once, but for one wait it makes
// more calls of the system, and the goroutine is parked and looked for.
func (e *pipeEnd) readSoon(p []byte, lone bool) (int, error) {
	if e.soon.wait == nil {
		return e.Read(p)
	}
	if lone {
		if n, err := e.TryRead(p); err != syscall.EAGAIN {
			return n, err
		}
	}
	alone := soonReaders.Add(1) == 1
	defer soonReaders.Add(-1)
	if lone && alone && e.soon.onThread() {
		runtime.Gosched()               // what can run goes first
		_ = e.conn.Control(e.soon.wait) // fails if the pipe is closed: so does Read
	}
	return e.Read(p)
}

// onThread says whether the next wait is one on the thread.
func (s *soon) onThread() bool {
	switch {
	case s.skip > 0:
		s.skip--
	case s.row == soonInRow:
		s.row = 0
	default:
		s.row++
		return true
	}
	return false
}

// waitOn waits until there is something to read, or the pipe has ended, but not for long.
func (s *soon) waitOn(fd uintptr) {
	end := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	timeout := unix.NsecToTimespec(int64(soonWait))
	if n, err := unix.Ppoll(end[:], &timeout, nil); n == 0 && err == nil {
		s.skip = soonSkip
	}
}
