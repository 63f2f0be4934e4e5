package pool

import "math/bits"

const (
	shelfBits = 64
	// maxInFlight bounds the places of one worker; a worker that offers more is given this many calls at a time.
	maxInFlight = shelfBits * shelfBits
)

// readySet holds the workers that have a free place, by calls in flight: shelf k is the ring of those with k, most recently used
// first. All its operations take constant time and allocate nothing, except grow. It is guarded by the pool's mutex.
type readySet struct {
	shelves []*worker // the first of each ring; nil: empty
	// A bit for each shelf that is not empty, and one for each such word.
	words [shelfBits]uint64
	sum   uint64
}

// grow makes room for workers with so many places.
func (r *readySet) grow(places int) {
	for len(r.shelves) < places {
		r.shelves = append(r.shelves, nil)
	}
}

// best returns the worker to use next: fewest calls in flight, of those the most recently used. It returns nil if no place is free.
func (r *readySet) best() *worker {
	if r.sum == 0 {
		return nil
	}
	word := bits.TrailingZeros64(r.sum)
	return r.shelves[word*shelfBits+bits.TrailingZeros64(r.words[word])]
}

// idlest returns the worker that has been without a call for longest, or nil if all are busy.
func (r *readySet) idlest() *worker {
	if len(r.shelves) == 0 || r.shelves[0] == nil {
		return nil
	}
	return r.shelves[0].prev
}

// put lists a worker as the most recently used of those with as many calls in flight, or unlists it if it has no free place, or none for all.
func (r *readySet) put(w *worker) {
	r.remove(w)
	k := w.inFlight
	if k >= w.places || w.hold != holdNone {
		return
	}
	first := r.shelves[k]
	if first == nil {
		w.prev, w.next = w, w
		r.words[k/shelfBits] |= 1 << (k % shelfBits)
		r.sum |= 1 << (k / shelfBits)
	} else {
		w.prev, w.next = first.prev, first
		first.prev.next, first.prev = w, w
	}
	r.shelves[k] = w
	w.shelf = k
}

// remove unlists a worker; if it is not listed, nothing happens.
func (r *readySet) remove(w *worker) {
	if w.next == nil {
		return
	}
	k := w.shelf
	if w.next == w {
		r.shelves[k] = nil
		r.words[k/shelfBits] &^= 1 << (k % shelfBits)
		if r.words[k/shelfBits] == 0 {
			r.sum &^= 1 << (k / shelfBits)
		}
	} else {
		w.prev.next, w.next.prev = w.next, w.prev
		if r.shelves[k] == w {
			r.shelves[k] = w.next
		}
	}
	w.prev, w.next = nil, nil
}
