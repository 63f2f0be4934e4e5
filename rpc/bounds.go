package rpc

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"sync"
)

// What a payload from the other side may hold; docs/protocol.md, section 9. They are checked before anything is decoded, because a
// decoder allocates what an array's header claims (vmihailenco/msgpack issues 376 and 401).
const (
	maxDepth    = 128
	maxElements = 1 << 20
	maxMemory   = 64 << 20 // bytes for the elements of arrays and maps
)

var errTrailing = errors.New("bytes behind the MessagePack value")

// checkValue says whether b is exactly one MessagePack value within the limits.
func checkValue(b []byte) error {
	_, err := inspect(b, 0)
	return err
}

// inspect is checkValue for a value that is decoded into elements of that many bytes each. It says where the extensions in b have their
// bodies: as the number of bytes from there to the end, descending.
func inspect(b []byte, elementSize uintptr) (extensions []int32, err error) {
	w := walker{rest: b}
	if err := w.value(0); err != nil {
		return nil, err
	}
	if len(w.rest) > 0 {
		return nil, errTrailing
	}
	if w.elements*uint64(elementSize) > maxMemory {
		return nil, fmt.Errorf("%d elements of %d bytes need more than %d MiB", w.elements, elementSize, maxMemory>>20)
	}
	return w.extensions, nil
}

// firstValue returns the one value at the front of b, with what follows.
func firstValue(b []byte) (value, rest []byte, err error) {
	w := walker{rest: b}
	if err := w.value(0); err != nil {
		return nil, nil, err
	}
	return b[:len(b)-len(w.rest)], w.rest, nil
}

type walker struct {
	rest       []byte
	elements   uint64
	extensions []int32 // for each, the bytes from its body to the end
}

func (w *walker) value(depth int) error {
	t, err := next(w.rest)
	if err != nil {
		return err
	}
	if t.kind == blob && t.n > 0 && isExtension(w.rest[0]) {
		w.extensions = append(w.extensions, int32(min(len(w.rest)-t.start, math.MaxInt32)))
	}
	w.rest = w.rest[t.size:]
	count := t.n
	switch t.kind {
	case array:
	case mapping:
		count *= 2
	default:
		return nil
	}
	if count > uint64(len(w.rest)) { // every element takes a byte at least
		return errTruncated
	}
	if w.elements += t.n; w.elements > maxElements {
		return fmt.Errorf("more than %d elements", maxElements)
	}
	if depth == maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	for range count {
		if w.skipLeaf() {
			continue
		}
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// skipLeaf skips a value whose first byte says all: a number, a short text, nil, true, false.
func (w *walker) skipLeaf() bool {
	if len(w.rest) == 0 {
		return false
	}
	n := int(leafSizes[w.rest[0]])
	if n == 0 || n > len(w.rest) {
		return false
	}
	w.rest = w.rest[n:]
	return true
}

// isExtension tells extensions from plain bytes by the first byte of their header.
func isExtension(c byte) bool { return c >= 0xc7 && c <= 0xc9 || c >= 0xd4 && c <= 0xd8 }

// mapOverhead is what a Go map takes for a pair beside key and value, rounded up.
const mapOverhead = 16

// elementSizes remembers elementSize for each type.
var elementSizes sync.Map // reflect.Type → uintptr

// elementSize is the size of the largest element of an array, slice or map that decoding into a t can make, at any depth: what one byte of
// payload can cost. It is 0 for types without any.
func elementSize(t reflect.Type) uintptr {
	if size, ok := elementSizes.Load(t); ok {
		return size.(uintptr)
	}
	size := largest(t, make(map[reflect.Type]bool))
	elementSizes.Store(t, size)
	return size
}

var anySize = reflect.TypeFor[any]().Size()

func largest(t reflect.Type, seen map[reflect.Type]bool) uintptr {
	if seen[t] {
		return 0
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer:
		return largest(t.Elem(), seen)
	case reflect.Slice, reflect.Array:
		return max(cost(t.Elem()), largest(t.Elem(), seen))
	case reflect.Map:
		return max(cost(t.Key())+cost(t.Elem())+mapOverhead, largest(t.Elem(), seen), largest(t.Key(), seen))
	case reflect.Struct:
		size := uintptr(0)
		if pointsTo(t, t, make(map[reflect.Type]bool)) {
			size = cost(t) // a list or a tree: each of its pointers is an element
		}
		for f := range fields(t) {
			size = max(size, largest(f, seen))
		}
		return size
	case reflect.Interface:
		return 3*anySize + mapOverhead // the worst that a generic value becomes: a map of string to any
	default:
		return 0
	}
}

// cost is the memory of one element, with what it points to.
func cost(t reflect.Type) uintptr { return t.Size() + pointedTo(t, make(map[reflect.Type]uintptr)) }

// pointedTo is what decoding can allocate for the pointers in one t, without the elements of slices and maps.
func pointedTo(t reflect.Type, known map[reflect.Type]uintptr) (size uintptr) {
	if size, ok := known[t]; ok {
		return size
	}
	known[t] = 0 // a pointer back to t is an element of its own
	switch t.Kind() {
	case reflect.Pointer:
		size = t.Elem().Size() + pointedTo(t.Elem(), known)
	case reflect.Struct:
		for f := range fields(t) {
			size += pointedTo(f, known)
		}
	}
	known[t] = size
	return size
}

// pointsTo reports whether pointers in a t lead to a target.
func pointsTo(t, target reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer:
		return t.Elem() == target || pointsTo(t.Elem(), target, seen)
	case reflect.Struct:
		for f := range fields(t) {
			if pointsTo(f, target, seen) {
				return true
			}
		}
	}
	return false
}

// fields are the types of the struct's fields that a decoder can set.
func fields(t reflect.Type) iter.Seq[reflect.Type] {
	return func(yield func(reflect.Type) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); (f.IsExported() || f.Anonymous) && !yield(f.Type) {
				return
			}
		}
	}
}
