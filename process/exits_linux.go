//go:build posixprocess

package process

import "golang.org/x/sys/unix"

// threadQueue stands in for macOS's queue where the code around it is tested on Linux. It costs a thread for each child.
type threadQueue chan int

func newExitQueue() (exitQueue, error) { return make(threadQueue), nil }

func (q threadQueue) add(pid int) error {
	if dead, err := isDead(byPID, pid, unix.WNOHANG); dead || err != nil {
		return unix.ESRCH
	}
	// Ends with the child.
	go func() {
		_, _ = isDead(byPID, pid, 0)
		q <- pid
	}()
	return nil
}

func (q threadQueue) next() ([]int, error) { return []int{<-q}, nil }

func (threadQueue) close() {}
