package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestIsText(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	tests := []struct {
		name, data string
		want       bool
	}{
		{"empty", "", true},
		{"ASCII", "hello\n", true},
		{"UTF-8", "häßlich 世界 🙂", true},
		{"Latin-1", "h\xe4\xdflich", false},
		{"NUL at once", "\x00", false},
		{"NUL at the window's last byte", a(nulWindow-1) + "\x00", false},
		{"NUL behind the window", a(nulWindow) + "\x00", true},
		{"invalid far behind", a(3*scanBuffer) + "\xff", false},
		{"cut off in its last rune", a(10) + "\xe4\xb8", false},
		{"cut off in its last rune at the buffer's end", a(scanBuffer-2) + "\xe4\xb8", false},
		{"rune across the buffer's end", a(scanBuffer-1) + "世" + a(scanBuffer), true},
		{"a stray continuation at the buffer's end", a(scanBuffer-1) + "\x80" + a(5), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := isText(strings.NewReader(test.data))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestIsTextReturnsReadErrors(t *testing.T) {
	broken := errors.New("broken")
	_, err := isText(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
}

func FuzzIsText(f *testing.F) {
	f.Add([]byte("世界"), uint16(0))
	f.Add([]byte("x\xffy"), uint16(scanBuffer-1))
	f.Fuzz(func(t *testing.T, data []byte, before uint16) {
		data = append(bytes.Repeat([]byte{'a'}, int(before)), data...)
		got, err := isText(bytes.NewReader(data))
		require.NoError(t, err)
		require.Equal(t, utf8.Valid(data) && bytes.IndexByte(data[:min(len(data), nulWindow)], 0) < 0, got)
	})
}
