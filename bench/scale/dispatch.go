package main

import (
	"slices"
	"sync"
	"time"
)

// dispatch gives calls that are due to goroutines that make them, to the one first that has become free last: its stack is still in the processor's
// caches, as in a server that starts a goroutine for each call, on the stack of the last that has ended. If they took turns, thousands of them would
// cost each call microseconds of cache misses however few calls there are at a time. The zero value is ready for use.
type dispatch struct {
	mu      sync.Mutex
	idle    []chan time.Time // of those who are free, the last at the end
	backlog []time.Time      // when the calls were due that nobody makes yet; no more than there are in a run, 24 bytes each
	begun   int              // of backlog, from the front
	closed  bool
}

// send has a call made that was due at that time.
func (d *dispatch) send(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.idle); n > 0 {
		d.idle[n-1] <- at
		d.idle = d.idle[:n-1]
		return
	}
	d.backlog = append(d.backlog, at)
}

// next waits for a call to make. own is the goroutine's own channel, with room for one. ok is false when there will be none.
func (d *dispatch) next(own chan time.Time) (at time.Time, ok bool) {
	d.mu.Lock()
	if d.begun < len(d.backlog) {
		at = d.backlog[d.begun]
		if d.begun++; d.begun > len(d.backlog)/2 {
			d.backlog, d.begun = slices.Delete(d.backlog, 0, d.begun), 0
		}
		d.mu.Unlock()
		return at, true
	}
	if d.closed {
		d.mu.Unlock()
		return at, false
	}
	d.idle = append(d.idle, own)
	d.mu.Unlock()
	at, ok = <-own
	return at, ok
}

// close says that no more calls will be due.
func (d *dispatch) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, own := range d.idle {
		close(own)
	}
	d.idle = nil
}

// waiting is how many calls are due that nobody makes yet.
func (d *dispatch) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.backlog) - d.begun
}
