package rpc

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestErrorTexts(t *testing.T) {
	for want, err := range map[string]error{
		"no luck":                            &RemoteError{Code: CodeError, Message: "no luck"},
		"no code":                            &RemoteError{Message: "no code"},
		"quota: used up":                     &RemoteError{Code: "quota", Message: "used up"},
		`unknown_method: unknown method "x"`: UnknownMethod("x"),
		"EOF; may have been executed":        &CallError{Err: io.EOF},
		"EOF; not executed":                  &CallError{Delivery: NotSent, Err: io.EOF},
		"EOF; answered":                      &CallError{Delivery: Answered, Err: io.EOF},
		"protocol violation: type 0x2a after the handshake":  violation("%s after the handshake", typeName(0x2a)),
		"protocol violation: hello after the handshake":      violation("%s after the handshake", typeName(typeHello)),
		"worker cannot start: no model":                      &InitError{Message: "no model"},
		"worker cannot start: no model (in /models)":         &InitError{Message: "no model", Detail: "in /models"},
		"refused by the host: version: 2 is not spoken here": &RefusedError{Code: "version", Message: "2 is not spoken here"},
	} {
		require.EqualError(t, err, want)
	}
	require.Equal(t, Unknown, Delivery(0), "the safe assumption is the zero value")
}

func TestErrorsWrap(t *testing.T) {
	require.ErrorIs(t, &CallError{Err: context.Canceled}, context.Canceled)
	require.ErrorIs(t, &ProtocolError{Err: io.ErrUnexpectedEOF}, io.ErrUnexpectedEOF)
	for _, err := range []error{context.DeadlineExceeded, context.Canceled, errors.New("other")} {
		e := remote(errors.Join(errors.New("first"), err))
		want := map[error]string{context.DeadlineExceeded: CodeDeadline, context.Canceled: CodeCancelled}[err]
		if want == "" {
			want = CodeError
		}
		require.Equal(t, want, e.Code)
	}
}

func TestCallListKeepsOrder(t *testing.T) {
	var l callList
	calls := []*call{{id: 2}, {id: 4}, {id: 6}, {id: 8}}
	ids := func() (ids []uint64) {
		for c := l.first; c != nil; c = c.next {
			ids = append(ids, c.id)
		}
		var back []uint64
		for c := l.last; c != nil; c = c.prev {
			back = append([]uint64{c.id}, back...)
		}
		require.Equal(t, ids, back)
		return ids
	}
	for _, c := range calls {
		l.push(c)
	}
	require.Equal(t, []uint64{2, 4, 6, 8}, ids())
	require.True(t, l.remove(calls[1]))
	require.False(t, l.remove(calls[1]))
	require.Equal(t, []uint64{2, 6, 8}, ids())
	require.True(t, l.remove(calls[0]))
	require.True(t, l.remove(calls[3]))
	require.Equal(t, []uint64{6}, ids())
	require.True(t, l.remove(calls[2]))
	require.Empty(t, ids())
	l.push(calls[3])
	require.Equal(t, []uint64{8}, ids())
}
