package rpc

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
)

// Code that a generator such as github.com/tinylib/msgp has made for a type knows the fields beforehand. Reflection finds them out for each value,
// and the code for that has to come into the processor's caches each time, which another process has just used. So a value whose type has such
// code is encoded and decoded by it.

// marshaler appends its MessagePack to b.
type marshaler interface {
	MarshalMsg(b []byte) ([]byte, error)
}

// unmarshaler becomes the first value in b, of which it keeps nothing, and returns what follows.
type unmarshaler interface {
	UnmarshalMsg(b []byte) ([]byte, error)
}

// marshalerOf returns v as one, or nil. Whether a value or its address is sent makes no difference on the wire.
func marshalerOf(v any) marshaler {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		if m, ok := v.(marshaler); ok && !reflect.ValueOf(v).IsNil() {
			return m
		}
		return nil
	}
	if t.PkgPath() == "" {
		return nil // only a named type has methods
	}
	if m, ok := v.(marshaler); ok {
		return m
	}
	if !addressMarshals(t) {
		return nil
	}
	p := reflect.New(t)
	p.Elem().Set(reflect.ValueOf(v))
	return p.Interface().(marshaler)
}

// marshalers remembers addressMarshals for each type.
var marshalers sync.Map // reflect.Type → bool

var marshalerType = reflect.TypeFor[marshaler]()

// addressMarshals says whether a pointer to a t is a marshaler.
func addressMarshals(t reflect.Type) bool {
	if known, ok := marshalers.Load(t); ok {
		return known.(bool)
	}
	found := reflect.PointerTo(t).Implements(marshalerType)
	marshalers.Store(t, found)
	return found
}

// appendGenerated appends what m makes of itself, which must be one value. What is in b it neither sees nor can change.
func appendGenerated(b []byte, m marshaler) ([]byte, error) {
	made, err := m.MarshalMsg(b[len(b):len(b):cap(b)])
	if err == nil {
		err = checkValue(made)
	}
	if err != nil {
		return b, fmt.Errorf("MarshalMsg of %T: %w", m, err)
	}
	return append(slices.Grow(b, cap(made)), made...), nil // it is there already, unless b had too little room for m; next time it has
}

// unmarshalerOf returns what v points to as one, or nil: then the library decodes, which it also does with nil on the wire. A pointer that v points to is
// given something to point to.
func unmarshalerOf(b []byte, v any) unmarshaler {
	if b[0] == 0xc0 {
		return nil
	}
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return nil
	}
	if u, ok := v.(unmarshaler); ok {
		return u
	}
	if p = p.Elem(); p.Kind() != reflect.Pointer || !p.Type().Implements(unmarshalerType) {
		return nil
	}
	if p.IsNil() {
		p.Set(reflect.New(p.Type().Elem()))
	}
	return p.Interface().(unmarshaler)
}

var unmarshalerType = reflect.TypeFor[unmarshaler]()

// decodeGenerated has u become b, which is one value.
func decodeGenerated(b []byte, u unmarshaler) error {
	rest, err := u.UnmarshalMsg(b)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("it has left %d bytes", len(rest))
	}
	if err != nil {
		return fmt.Errorf("UnmarshalMsg of %T: %w", u, err)
	}
	return nil
}
