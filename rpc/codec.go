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
		if err := checkValue(v); err != nil {
			return nil, fmt.Errorf("raw message: %w", err)
		}
		return append(b, v...), nil
	case []byte:
		if v == nil {
			return append(b, 0xc0), nil
		}
		return appendBytes(b, v), nil
	case string:
		return appendString(b, v), nil
	}
	e := encoders.Get().(*encoder)
	defer func() {
		if r := recover(); r != nil { // the encoder's state is unknown: it does not go back
			err = fmt.Errorf("panic while encoding %T: %v", v, r)
		}
	}()
	e.to.b = b
	err = e.Encode(v)
	b, e.to.b = e.to.b, nil
	encoders.Put(e)
	return b, err
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
func decodeValue(b []byte, v any) (err error) {
	defer func() {
		if r := recover(); r != nil { // such as an array as a map's key; the decoder's state is unknown: it does not go back
			err = fmt.Errorf("panic while decoding into %T: %v", v, r)
		}
	}()
	if v == nil {
		return checkValue(b)
	}
	extensions, err := inspect(b, elementSize(reflect.TypeOf(v)))
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *msgpack.RawMessage:
		*v = append(make(msgpack.RawMessage, 0, len(b)), b...)
		return nil
	case *[]byte:
		if t, err := next(b); err == nil && t.kind == blob && b[0] <= 0xc6 {
			*v = append(make([]byte, 0, t.n), b[t.start:t.size]...)
			return nil
		}
	case *string:
		if t, err := next(b); err == nil && t.kind == text {
			*v = string(b[t.start:t.size])
			return nil
		}
	}
	d := decoders.Get().(*decoder)
	d.from.Reset(b)
	d.from.extensions = extensions
	d.Reset(&d.from)
	err = d.Decode(v)
	d.from.Reset(nil)
	d.from.extensions = nil
	decoders.Put(d)
	return err
}

type decoder struct {
	*msgpack.Decoder
	from source
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
