package rpc

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// appendValue appends v as one MessagePack value. The common types take no detour through the library.
func appendValue(b []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case nil:
		return append(b, 0xc0), nil
	case msgpack.RawMessage:
		return append(b, v...), checkRaw(v)
	case []byte:
		if v == nil {
			return append(b, 0xc0), nil
		}
		return appendBytes(b, v), nil
	case string:
		return appendString(b, v), nil
	}
	defer func() {
		if r := recover(); r != nil { // an encoder's state is unknown: it does not go back
			err = fmt.Errorf("panic while encoding %T: %v", v, r)
		}
	}()
	if m := marshalerOf(v); m != nil {
		return appendGenerated(b, m)
	}
	e := encoders.Get().(*encoder)
	e.to.b = b
	err = e.Encode(v)
	b, e.to.b = e.to.b, nil
	encoders.Put(e)
	return b, err
}

// minTail is from how many bytes on a value that is there as bytes is sent from where it is, and not copied.
const minTail = 16 << 10

// appendBody is appendValue for the value at a message's end: what is there as bytes already, and long, is returned as tail.
func appendBody(b []byte, v any) (_, tail []byte, err error) {
	switch v := v.(type) {
	case []byte:
		if len(v) >= minTail {
			return appendBytesHeader(b, len(v)), v, nil
		}
	case msgpack.RawMessage:
		if len(v) >= minTail {
			return b, v, checkRaw(v)
		}
	}
	b, err = appendValue(b, v)
	return b, nil, err
}

func checkRaw(v msgpack.RawMessage) error {
	if err := checkValue(v); err != nil {
		return fmt.Errorf("raw message: %w", err)
	}
	return nil
}

type encoder struct {
	*msgpack.Encoder
	to appender
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.Encoder = msgpack.NewEncoder(&e.to)
	return e
}}

// appender is an io.Writer and io.ByteWriter that appends.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func (a *appender) WriteByte(c byte) error {
	a.b = append(a.b, c)
	return nil
}

// decodeValue decodes b, which must be exactly one MessagePack value, into what v points to; it checks before it decodes, and what it
// makes never aliases b. If v is nil, b is only checked.
func decodeValue(b []byte, v any) error {
	_, err := decodeBody(b, v, false)
	return err
}

// decodeBody is decodeValue for b that may be owned. Then it may become part of the result: taken says that it has.
func decodeBody(b []byte, v any, owned bool) (taken bool, err error) {
	defer func() {
		if r := recover(); r != nil { // such as an array as a map's key; the decoder's state is unknown: it does not go back
			err = fmt.Errorf("panic while decoding into %T: %v", v, r)
		}
	}()
	switch v := v.(type) {
	case nil:
		return false, checkValue(b)
	case *msgpack.RawMessage:
		if err = checkValue(b); err == nil {
			*v, taken = keep(*v, b, owned)
		}
		return taken, err
	case *[]byte:
		if body, kind := bodyOf(b); kind == blob {
			*v, taken = keep(*v, body, owned)
			return taken, nil
		}
	case *string:
		if body, kind := bodyOf(b); kind == text {
			*v = string(body)
			return false, nil
		}
	}
	d := decoders.Get().(*decoder)
	extensions, err := inspect(b, d.elementSize(reflect.TypeOf(v)))
	if err != nil {
		decoders.Put(d)
		return false, err
	}
	if u := unmarshalerOf(b, v); u != nil {
		decoders.Put(d)
		return false, decodeGenerated(b, u)
	}
	d.from.Reset(b)
	d.from.extensions = extensions
	d.Reset(&d.from)
	err = d.Decode(v)
	d.from.Reset(nil)
	d.from.extensions = nil
	decoders.Put(d)
	return false, err
}

// keep returns bytes that may be kept: in old if they fit into it, and are any, else b itself if it is owned, or a copy. They are never nil: an empty
// value is not a missing one.
func keep(old, b []byte, owned bool) (kept []byte, taken bool) {
	switch {
	case len(b) > 0 && cap(old) >= len(b):
		return append(old[:0], b...), false
	case owned:
		return b[:len(b):len(b)], true
	default:
		return append(make([]byte, 0, len(b)), b...), false
	}
}

type decoder struct {
	*msgpack.Decoder
	from source

	last     reflect.Type // that was decoded, and what elementSize says of it
	lastSize uintptr
}

// elementSize is the function of that name. It remembers one answer: programs decode the same few types again and again.
func (d *decoder) elementSize(t reflect.Type) uintptr {
	if d.last != t {
		d.last, d.lastSize = t, elementSize(t)
	}
	return d.lastSize
}

// source is what a decoder reads from. What is in an extension has not been checked, and only who knows its type makes sense of it, by
// reading the bytes. But where the library wants a map and finds an extension it takes the body for the map's header and entries: five bytes
// there cost as much as a million entries, and nested arrays the host's stack. So no value may begin where a body does.
type source struct {
	bytes.Reader
	extensions []int32 // those still to come: see inspect
}

// ReadByte is how the library reads the first byte of a value.
func (s *source) ReadByte() (byte, error) {
	for len(s.extensions) > 0 && int(s.extensions[0]) >= s.Len() {
		if int(s.extensions[0]) == s.Len() {
			return 0, errors.New("a value where the body of an extension is")
		}
		s.extensions = s.extensions[1:]
	}
	return s.Reader.ReadByte()
}

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.Decoder = msgpack.NewDecoder(&d.from)
	return d
}}
