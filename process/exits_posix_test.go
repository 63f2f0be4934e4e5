//go:build darwin || (linux && posixprocess)

package process

import (
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// scriptedQueue is a queue of deaths that a test makes up.
type scriptedQueue struct {
	refuse error // what add says
	dead   chan []int
	failed chan struct{} // closed: next fails
	closed bool
}

func newScriptedQueue() *scriptedQueue {
	return &scriptedQueue{dead: make(chan []int), failed: make(chan struct{})}
}

func (q *scriptedQueue) add(int) error { return q.refuse }

func (q *scriptedQueue) next() ([]int, error) {
	select {
	case pids := <-q.dead:
		return pids, nil
	case <-q.failed:
		return nil, syscall.EBADF
	}
}

func (q *scriptedQueue) close() { q.closed = true }

// watching returns a watch that is given these queues, one after the other.
func watching(queues ...*scriptedQueue) *exitWatch {
	return &exitWatch{make: func() (exitQueue, error) {
		if len(queues) == 0 {
			return nil, syscall.EMFILE
		}
		q := queues[0]
		queues = queues[1:]
		return q, nil
	}}
}

// waits tells whether a wait for the pid is over, and its result.
func waits(w *exitWatch, pid int) func() (over, dead bool) {
	result := make(chan bool, 1)
	go func() { result <- w.wait(pid) }()
	return func() (over, dead bool) {
		synctest.Wait()
		select {
		case dead = <-result:
			return true, dead
		default:
			return false, false
		}
	}
}

func requireResult(t *testing.T, result func() (over, dead bool), wantOver, wantDead bool) {
	t.Helper()
	over, dead := result()
	require.Equal(t, wantOver, over)
	require.Equal(t, wantDead, dead)
}

func TestL5_9_ExitsComeByOneQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newScriptedQueue()
		w := watching(q)
		first, second, third := waits(w, 101), waits(w, 102), waits(w, 103)
		synctest.Wait()
		q.dead <- []int{102, 999}
		requireResult(t, second, true, true)
		requireResult(t, first, false, false)
		q.dead <- []int{101, 103}
		requireResult(t, first, true, true)
		requireResult(t, third, true, true)
		require.Empty(t, w.waiting)
		close(q.failed)
	})
}

func TestExitBeforeTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newScriptedQueue()
		w := watching(q)
		q.refuse = syscall.ESRCH
		requireResult(t, waits(w, 101), true, true)
		q.refuse = syscall.ENOMEM
		requireResult(t, waits(w, 101), true, false)
		require.Empty(t, w.waiting)
		close(q.failed)
	})
}

// A number that is given out again means that whoever had it is dead, and was reaped by somebody else.
func TestExitOfWhoseNumberIsGivenOutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newScriptedQueue()
		w := watching(q)
		old := waits(w, 101)
		requireResult(t, old, false, false)
		young := waits(w, 101)
		requireResult(t, old, true, true)
		requireResult(t, young, false, false)
		q.dead <- []int{101}
		requireResult(t, young, true, true)
		close(q.failed)
	})
}

func TestFailedQueueIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, q := newScriptedQueue(), newScriptedQueue()
		w := watching(broken, q)
		first, second := waits(w, 101), waits(w, 102)
		synctest.Wait()
		close(broken.failed)
		requireResult(t, first, true, false)
		requireResult(t, second, true, false)
		require.True(t, broken.closed)

		again := waits(w, 101)
		requireResult(t, again, false, false)
		q.dead <- []int{101}
		requireResult(t, again, true, true)
		close(q.failed)
		synctest.Wait()
		require.ErrorIs(t, w.open(), syscall.EMFILE)
		require.False(t, w.wait(101))
	})
}

// The notice is given when a child begins to die; it can be reaped a moment later.
func TestNoticeComesEarly(t *testing.T) {
	q := newScriptedQueue()
	defer close(q.failed)
	q.refuse = syscall.ESRCH // as if it were beginning to die
	w := watching(q)
	p, err := Start(Command{Path: "sleep", Args: []string{"300"}}, Options{})
	require.NoError(t, err)
	defer p.Stream().Close()
	dead := make(chan bool)
	go func() {
		w.await(p.PID())
		over, _ := isDead(byPID, p.PID(), unix.WNOHANG)
		dead <- over
	}()
	require.NoError(t, p.Do(Kill))
	require.True(t, <-dead)
	<-p.Ended()
}

// Without a notice the exit is found by looking.
func TestExitWithoutANotice(t *testing.T) {
	refusing := newScriptedQueue()
	refusing.refuse = syscall.ENOMEM
	defer close(refusing.failed)
	p, err := Start(Command{Path: "sleep", Args: []string{"300"}}, Options{})
	require.NoError(t, err)
	defer p.Stream().Close()
	found := make(chan struct{})
	for _, w := range []*exitWatch{watching(), watching(refusing)} {
		go func() {
			w.await(p.PID())
			found <- struct{}{}
		}()
	}
	require.NoError(t, p.Do(Kill))
	<-found
	<-found
	<-p.Ended()
}
