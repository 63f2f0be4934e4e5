package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// encodeJSON turns one JSON value into MessagePack. Whole numbers become integers where they fit 64 bits, others floating-point.
// Empty text is null.
func encodeJSON(text string) (msgpack.RawMessage, error) {
	if strings.TrimSpace(text) == "" {
		text = "null"
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("not JSON: %w", unexpectedEnd(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: more than one value")
	}
	value, err := withNumbers(value)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := msgpack.NewEncoder(&out)
	encoder.UseCompactInts(true)
	encoder.SetSortMapKeys(true)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// unexpectedEnd is for people: text that stops in the middle is no end.
func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it stops in the middle")
	}
	return err
}

// withNumbers replaces the numbers in a JSON value, as they were written, by Go's.
func withNumbers(value any) (_ any, err error) {
	switch v := value.(type) {
	case json.Number:
		return number(v)
	case []any:
		for i := range v {
			if v[i], err = withNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = withNumbers(v[key]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

func number(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil && n != "-0" { // integers have no negative zero
		return i, nil
	}
	var u uint64
	if err := json.Unmarshal([]byte(n), &u); err == nil {
		return u, nil
	}
	f, err := n.Float64()
	if err != nil {
		return nil, fmt.Errorf("the number %s is too large", n)
	}
	return f, nil
}

// decodeJSON turns one MessagePack value into JSON. What JSON does not have becomes a string: bytes in base64, points in time as RFC 3339 has
// them, NaN and infinities by name; other extensions are {"ext": TYPE, "data": BASE64}. Keys of maps that are no strings become the text of
// their JSON. Keys keep their order.
func decodeJSON(value msgpack.RawMessage) ([]byte, error) {
	w := jsonWriter{in: msgpack.NewDecoder(bytes.NewReader(value))}
	if err := w.value(); err != nil {
		return nil, fmt.Errorf("the reply cannot be shown as JSON: %w", unexpectedEnd(err))
	}
	return w.out.Bytes(), nil
}

// jsonWriter copies a value from in to out. The connection has checked the value before: it is whole and not nested too deeply.
type jsonWriter struct {
	in  *msgpack.Decoder
	out bytes.Buffer
}

func (w *jsonWriter) value() error {
	code, err := w.in.PeekCode()
	if err != nil {
		return err
	}
	switch {
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		return w.array()
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		return w.object()
	case msgpcode.IsExt(code):
		return w.extension()
	}
	value, err := w.in.DecodeInterface()
	if err != nil {
		return err
	}
	return w.scalar(value)
}

func (w *jsonWriter) scalar(value any) error {
	switch v := value.(type) {
	case []byte:
		value = base64.StdEncoding.EncodeToString(v)
	case float32:
		value = plain(float64(v), value)
	case float64:
		value = plain(v, value)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	w.out.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	return nil
}

// plain returns value, or the name of a number that JSON does not have.
func plain(f float64, value any) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Sprint(f)
	}
	return value
}

func (w *jsonWriter) array() error {
	n, err := w.in.DecodeArrayLen()
	if err != nil {
		return err
	}
	w.out.WriteByte('[')
	for i := range n {
		w.separate(i)
		if err := w.value(); err != nil {
			return err
		}
	}
	w.out.WriteByte(']')
	return nil
}

func (w *jsonWriter) object() error {
	n, err := w.in.DecodeMapLen()
	if err != nil {
		return err
	}
	w.out.WriteByte('{')
	for i := range n {
		w.separate(i)
		if err := w.key(); err != nil {
			return err
		}
		w.out.WriteByte(':')
		if err := w.value(); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

// key writes a string as it is, and the text of anything else as a string.
func (w *jsonWriter) key() error {
	start := w.out.Len()
	if err := w.value(); err != nil {
		return err
	}
	if text := w.out.Bytes()[start:]; text[0] != '"' {
		quoted := string(text)
		w.out.Truncate(start)
		return w.scalar(quoted)
	}
	return nil
}

func (w *jsonWriter) separate(i int) {
	if i > 0 {
		w.out.WriteByte(',')
	}
}

// timestamp is the type of the one extension that MessagePack itself defines.
const timestamp = -1

func (w *jsonWriter) extension() error {
	raw, err := w.in.DecodeRaw()
	if err != nil {
		return err
	}
	kind, size, err := msgpack.NewDecoder(bytes.NewReader(raw)).DecodeExtHeader()
	if err != nil {
		return err
	}
	if kind == timestamp {
		var at time.Time
		if err := msgpack.Unmarshal(raw, &at); err != nil {
			return err
		}
		return w.scalar(at.UTC().Format(time.RFC3339Nano))
	}
	fmt.Fprintf(&w.out, `{"ext":%d,"data":`, kind)
	if err := w.scalar([]byte(raw[len(raw)-size:])); err != nil {
		return err
	}
	w.out.WriteByte('}')
	return nil
}
