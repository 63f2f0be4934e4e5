package handlers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIndexWritesTheLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	for pass := 1; pass <= 2; pass++ {
		out, err := index(context.Background(), IndexInput{Key: "a/b#3", Pass: pass, Text: []byte("x y x"), Ledger: path})
		require.NoError(t, err)
		require.Equal(t, IndexOutput{Words: map[string]int{"x": 2, "y": 1}, Bytes: 5}, out)
	}
	lines, err := os.ReadFile(path)
	require.NoError(t, err)
	pid := os.Getpid()
	require.Equal(t, fmt.Sprintf("begin 1 a/b#3 %[1]d\nend 1 a/b#3 %[1]d\nbegin 2 a/b#3 %[1]d\nend 2 a/b#3 %[1]d\n", pid), string(lines))
}

func TestIndexWithoutLedger(t *testing.T) {
	out, err := index(context.Background(), IndexInput{Text: []byte("one")})
	require.NoError(t, err)
	require.Equal(t, IndexOutput{Words: map[string]int{"one": 1}, Bytes: 3}, out)
}

func TestIndexFailsWithoutItsLedger(t *testing.T) {
	_, err := index(context.Background(), IndexInput{Ledger: filepath.Join(t.TempDir(), "absent", "ledger")})
	require.ErrorContains(t, err, "open ledger")
}

func TestLedgerEchoWritesTheLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	in := LedgerEchoInput{Key: "7", Pass: 1, Ledger: path, Body: []byte("hi")}
	out, err := ledgerEcho(context.Background(), in, 0)
	require.NoError(t, err)
	require.Equal(t, []byte("hi"), out)

	gone, cancel := context.WithCancel(context.Background())
	cancel()
	in.Key = "8"
	_, err = ledgerEcho(gone, in, time.Hour)
	require.ErrorIs(t, err, context.Canceled)

	in.Ledger = ""
	out, err = ledgerEcho(context.Background(), in, 0)
	require.NoError(t, err)
	require.Equal(t, []byte("hi"), out)

	lines, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("begin 1 7 %[1]d\nend 1 7 %[1]d\nbegin 1 8 %[1]d\n", os.Getpid()), string(lines))
}

func TestLedgerKey(t *testing.T) {
	tests := map[string]string{
		"":                   "",
		"src/net/http.go#12": "src/net/http.go#12",
		"a b\tc\nd":          "a%20b%09c%0Ad",
		"100%":               "100%25",
		"ä世界":                "ä世界",
		"no\u00a0break":      "no%C2%A0break",
		"line\u2028end":      "line%E2%80%A8end",
		"bad\xff":            "bad%FF",
		"\ufffd":             "\ufffd",
		"\x00\x7f\u0085":     "%00%7F%C2%85",
	}
	for text, want := range tests {
		require.Equal(t, want, LedgerKey(text))
	}
}

func FuzzLedgerKey(f *testing.F) {
	f.Add("a b", "a%20b")
	f.Add("\xff", "\ufffd")
	f.Fuzz(func(t *testing.T, a, b string) {
		require.Equal(t, a == b, LedgerKey(a) == LedgerKey(b), "different texts, different keys")
		require.LessOrEqual(t, len(strings.Fields(LedgerKey(a))), 1)
	})
}
