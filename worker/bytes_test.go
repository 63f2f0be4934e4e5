package worker

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

// fresh is n bytes that no other call has.
func fresh(call, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8 + i*5 + call*13)
	}
	return b
}

func TestHandleBytes(t *testing.T) {
	for _, inFlight := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			w := New(Options{InFlight: inFlight})
			HandleBytes(w, "echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
			HandleBytes(w, "upper", func(_ context.Context, in []byte) ([]byte, error) {
				copy(in, bytes.ToUpper(in)) // its own to write to
				return in[:len(in)/2], nil
			})
			HandleBytes(w, "none", func(context.Context, []byte) ([]byte, error) { return nil, nil })
			HandleBytes(w, "error", func(_ context.Context, in []byte) ([]byte, error) {
				return in, &Error{Code: "mine", Message: string(in)}
			})
			HandleBytes(w, "panic", func(_ context.Context, in []byte) ([]byte, error) { panic(string(in)) })
			s := newSession(t, w, rpc.HostOptions{})
			var out []byte
			for i, size := range []int{0, 1, 100, 5 << 10, 20 << 10, 200 << 10, 300 << 10, 1 << 20, 10} {
				in := fresh(i, size)
				require.NoError(t, s.call(t, "echo", in, &out))
				require.True(t, bytes.Equal(in, out), "%d bytes", size)
				require.NoError(t, s.call(t, "upper", in, &out))
				require.True(t, bytes.Equal(bytes.ToUpper(in)[:size/2], out))
				require.True(t, bytes.Equal(fresh(i, size), in), "the caller's are not touched")
			}
			require.NoError(t, s.call(t, "none", []byte("x"), &out))
			require.Nil(t, out)

			for method, code := range map[string]string{"error": "mine", "panic": rpc.CodePanic} {
				text := strings.Repeat(method, 10<<10)
				var e *Error
				require.ErrorAs(t, s.call(t, method, []byte(text), nil), &e)
				require.Equal(t, code, e.Code)
				require.Equal(t, text, e.Message)
				require.False(t, e.NotRun)
			}
			var e *Error
			require.ErrorAs(t, s.call(t, "echo", "a text", nil), &e)
			require.Equal(t, rpc.CodeBadArgs, e.Code)
			require.True(t, e.NotRun)
		})
	}
}

func TestHandleBytesMistakes(t *testing.T) {
	w := New(Options{})
	HandleBytes(w, "m", nil)
	require.EqualError(t, w.problem(), `the handler of "m" is nil`)
	HandleBytes(w, "n", func(context.Context, []byte) ([]byte, error) { return nil, nil })
	HandleBytes(w, "n", func(context.Context, []byte) ([]byte, error) { return nil, nil })
	require.ErrorContains(t, w.problem(), `the method "n" has two handlers`)
}

// What Handle decodes is f's to keep, unlike what HandleBytes lends it.
func TestHandleGivesFreshArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(Options{})
		var kept [][]byte
		Handle(w, "keep", func(_ context.Context, in []byte) (int, error) {
			kept = append(kept, in)
			return len(in), nil
		})
		HandleBytes(w, "pass", func(_ context.Context, in []byte) ([]byte, error) {
			clear(in)
			return in, nil
		})
		s := newSession(t, w, rpc.HostOptions{})
		for i := range 20 {
			require.NoError(t, s.call(t, "keep", fresh(i, 30<<10), nil))
			require.NoError(t, s.call(t, "pass", fresh(i, 30<<10), nil))
		}
		for i, in := range kept {
			require.True(t, bytes.Equal(fresh(i, 30<<10), in))
		}
	})
}
