package rpc

import "iter"

// table holds what belongs to calls in flight, by their ids. Ids rise by two, so that those of the latest calls, which are nearly all of those in
// flight, stand beside each other in a ring. What finds its place taken, by a call that has been in flight for long, goes into a map.
type table[T any] struct {
	ring  []entry[T]
	late  map[uint64]*T
	count int
}

type entry[T any] struct {
	id    uint64
	value *T // nil: the place is free
}

const (
	minRing = 4
	maxRing = 1 << 9
)

// newTable returns a table for about that many calls at a time.
func newTable[T any](calls int) table[T] {
	size := minRing
	for size < 2*calls && size < maxRing {
		size *= 2
	}
	return table[T]{ring: make([]entry[T], size)}
}

func (t *table[T]) place(id uint64) *entry[T] { return &t.ring[id>>1&uint64(len(t.ring)-1)] }

func (t *table[T]) put(id uint64, value *T) {
	t.count++
	if e := t.place(id); e.value == nil {
		*e = entry[T]{id, value}
		return
	}
	if t.late == nil {
		t.late = make(map[uint64]*T)
	}
	t.late[id] = value
}

// get returns nil for an id that is not in.
func (t *table[T]) get(id uint64) *T {
	if e := t.place(id); e.value != nil && e.id == id {
		return e.value
	}
	return t.late[id]
}

func (t *table[T]) remove(id uint64) {
	if e := t.place(id); e.value != nil && e.id == id {
		*e = entry[T]{}
		t.count--
	} else if _, ok := t.late[id]; ok {
		delete(t.late, id)
		t.count--
	}
}

// all returns them in no particular order. They may be removed meanwhile.
func (t *table[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range t.ring {
			if v := t.ring[i].value; v != nil && !yield(v) {
				return
			}
		}
		for _, v := range t.late {
			if !yield(v) {
				return
			}
		}
	}
}
