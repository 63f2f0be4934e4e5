package pool

import (
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/rpc"
)

// waiter is a caller that waits for a place on a worker. While it is in the queue it belongs to the pool; whoever takes it out, under
// the pool's mutex, decides its fate, and executes the verdict after unlocking. A caller that leaves early takes itself out, or takes note of
// what has been decided meanwhile: a granted place is never lost.
type waiter struct {
	decided chan struct{} // buffered: telling never blocks
	worker  *worker       // the place granted; nil: none
	err     error         // why there is none
	call    rpc.Prepared  // its call, if size is not 0
	size    int           // of call, in bytes
	roomy   bool          // when it came, there was memory for its call
	timer   *time.Timer   // QueueTimeout's; nil until first needed
	since   time.Duration // when it came

	line       *line // the one it stands in; nil: in none
	prev, next *waiter
}

// line is a list of waiters, first come first served.
type line struct {
	first, last *waiter
	length      int
}

func (l *line) push(w *waiter) {
	w.line, w.prev, w.next = l, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	l.length++
}

func (l *line) remove(w *waiter) {
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.line, w.prev, w.next = nil, nil, nil
	l.length--
}

// queue holds the callers that wait. Retried calls stand before all others, in their own order. Those that are to have a worker alone stand apart:
// see Pool.arrange. It is guarded by the pool's mutex.
//
// Waiters are used again, within one pool only: a channel made in a synctest bubble must not leave it.
type queue struct {
	bound   int // newcomers that may wait; negative: nobody may
	retried line
	waiting line
	alone   line // retried, too

	prepared int // bytes of calls that are encoded

	used sync.Pool // of *waiter; alone not guarded: callers come back to it without the mutex
}

func (q *queue) length() int { return q.retried.length + q.waiting.length + q.alone.length }

// join puts a caller into the queue, or returns nil if it may not wait. Retried calls are beyond the bound: there are no more of them
// than there were places.
func (q *queue) join(retried bool) *waiter {
	if q.bound < 0 || !retried && q.waiting.length >= q.bound {
		return nil
	}
	w := q.unused()
	w.roomy = q.prepared < maxPrepared
	if retried {
		q.retried.push(w)
	} else {
		q.waiting.push(w)
	}
	return w
}

// joinAlone puts a retried call that wants a worker alone into the line of those, or returns nil if it may not wait.
func (q *queue) joinAlone() *waiter {
	if q.bound < 0 {
		return nil
	}
	w := q.unused()
	q.alone.push(w)
	return w
}

// unused returns a waiter that is in no line.
func (q *queue) unused() *waiter {
	if w, ok := q.used.Get().(*waiter); ok {
		return w
	}
	return &waiter{decided: make(chan struct{}, 1)}
}

// pop takes out the caller whose turn it is; nil if nobody waits, but for those who stand apart.
func (q *queue) pop() *waiter {
	w := q.retried.first
	if w == nil {
		w = q.waiting.first
	}
	if w != nil {
		q.remove(w)
	}
	return w
}

func (q *queue) remove(w *waiter) {
	w.line.remove(w)
	q.prepared -= w.size
}

// prepare takes the call of a caller that is still in the queue, if there still is memory for it.
func (q *queue) prepare(w *waiter, c rpc.Prepared) bool {
	if w.line == nil || q.prepared >= maxPrepared {
		return false
	}
	w.call, w.size = c, c.Size()
	q.prepared += w.size
	return true
}

// leave takes a caller out. It returns false if its fate has been decided already.
func (q *queue) leave(w *waiter) bool {
	if w.line == nil {
		return false
	}
	q.remove(w)
	return true
}

// drop takes out everybody and returns them linked by next, first come first.
func (q *queue) drop() *waiter {
	var all line
	for w := q.alone.first; w != nil; w = q.alone.first {
		q.remove(w)
		all.push(w)
	}
	for w := q.pop(); w != nil; w = q.pop() {
		all.push(w)
	}
	for w := all.first; w != nil; w = w.next {
		w.line = nil
	}
	return all.first
}

// recycle keeps a waiter whose fate has been learned for another caller.
func (q *queue) recycle(w *waiter) {
	*w = waiter{decided: w.decided, timer: w.timer}
	q.used.Put(w)
}
