//go:build darwin || (linux && posixprocess)

package process

import (
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// exits notices the deaths of all children.
var exits = exitWatch{make: newExitQueue}

// exitQueue is where the kernel gives notice of deaths.
type exitQueue interface {
	// add asks for notice of a child's death. The error is ESRCH if it is dead already.
	add(pid int) error
	// next waits for deaths, and returns the pids.
	next() ([]int, error)
	close()
}

// exitWatch waits for the deaths of all children with one goroutine, and its thread. It is for systems where a child has no descriptor that the
// poller could watch.
type exitWatch struct {
	make func() (exitQueue, error)

	mu      sync.Mutex        // no system call made under it can block
	queue   exitQueue         // nil before the first child
	waiting map[int]chan bool // by pid; has a buffer of one
}

// open sees to it that there is a queue, before there is a child that could not be waited for.
func (w *exitWatch) open() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue != nil {
		return nil
	}
	queue, err := w.make()
	if err != nil {
		return err
	}
	w.queue, w.waiting = queue, map[int]chan bool{}
	// Ends when the queue fails, which it has no reason to.
	go w.run(queue)
	return nil
}

// exitRetry is the pause between two looks at a child whose death no notice will tell.
const exitRetry = 100 * time.Millisecond

// await returns when a child is dead and can be reaped. It parks this goroutine alone.
func (w *exitWatch) await(pid int) {
	for !w.wait(pid) {
		if dead, err := isDead(byPID, pid, unix.WNOHANG); dead || err != nil {
			return
		}
		time.Sleep(exitRetry)
	}
	// The notice comes a moment early. An error is ignored: a child that cannot be waited for is lost, and reap finds that out.
	_, _ = isDead(byPID, pid, 0)
}

// wait waits for the notice of a death. It returns false, sooner or later, if no notice of that can be had.
func (w *exitWatch) wait(pid int) (dead bool) {
	if w.open() != nil {
		return false
	}
	return <-w.add(pid)
}

func (w *exitWatch) add(pid int) <-chan bool {
	notice := make(chan bool, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue == nil {
		notice <- false
		return notice
	}
	w.settle(pid, true) // who had the number before is dead, and somebody else has reaped it
	w.waiting[pid] = notice
	if err := w.queue.add(pid); err != nil {
		w.settle(pid, err == syscall.ESRCH)
	}
	return notice
}

// settle ends the waiting for a pid, if there is any. The caller holds mu.
func (w *exitWatch) settle(pid int, dead bool) {
	if notice := w.waiting[pid]; notice != nil {
		notice <- dead
		delete(w.waiting, pid)
	}
}

func (w *exitWatch) run(queue exitQueue) {
	for {
		pids, err := queue.next()
		if err != nil {
			w.giveUp()
			return
		}
		w.tell(pids)
	}
}

func (w *exitWatch) tell(pids []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, pid := range pids {
		w.settle(pid, true)
	}
}

// giveUp drops the queue. Those who wait have to come again.
func (w *exitWatch) giveUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue.close()
	w.queue = nil
	for pid := range w.waiting {
		w.settle(pid, false)
	}
}
