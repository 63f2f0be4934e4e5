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

	"github.com/stdcrew/stdcrew/testworkers/index/wordcount"
)

// cutAll returns the pieces of text.
func cutAll(t testing.TB, c *cutter, text io.Reader) [][]byte {
	t.Helper()
	c.reset(text)
	var pieces [][]byte
	for {
		piece, err := c.next()
		if errors.Is(err, io.EOF) {
			return pieces
		}
		require.NoError(t, err)
		require.NotEmpty(t, piece)
		pieces = append(pieces, piece)
	}
}

func TestCutter(t *testing.T) {
	tests := []struct {
		name  string
		limit int
		text  string
		want  []string
	}{
		{"nothing", 8, "", nil},
		{"shorter than a piece", 8, "a b", []string{"a b"}},
		{"exactly a piece", 8, "abc defg", []string{"abc defg"}},
		{"a word on the border goes to the next piece", 8, "abc defgh", []string{"abc ", "defgh"}},
		{"a word that ends at the border stays", 8, "abc defg hi", []string{"abc defg", " hi"}},
		{"a word longer than a piece is cut hard", 4, "abcdefghij k", []string{"abcd", "efgh", "ij k"}},
		{"a hard cut is between runes", 4, "äöüß", []string{"äö", "üß"}},
		{"a hard cut before a rune that does not fit", 4, "abc世", []string{"abc", "世"}},
		{"separators alone", 4, ".......", []string{"....", "..."}},
		{"a long separator", 4, "ab世、世、", []string{"ab", "世", "、", "世", "、"}},
		{"bytes that are no UTF-8", 4, "\x80\x80\x80\x80\x80\x80", []string{"\x80\x80\x80\x80", "\x80\x80"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, piece := range cutAll(t, newCutter(test.limit), strings.NewReader(test.text)) {
				got = append(got, string(piece))
			}
			require.Equal(t, test.want, got)
		})
	}
}

// requireGoodPieces checks what holds for the pieces of any text.
func requireGoodPieces(t testing.TB, text []byte, pieces [][]byte, limit int) {
	t.Helper()
	require.True(t, bytes.Equal(text, bytes.Join(pieces, nil)), "the pieces make up the text")
	hardCuts := 0
	for i, piece := range pieces {
		require.LessOrEqual(t, len(piece), limit)
		if i == len(pieces)-1 {
			break
		}
		before, _ := utf8.DecodeLastRune(piece)
		after, _ := utf8.DecodeRune(pieces[i+1])
		if !wordcount.IsWord(before) || !wordcount.IsWord(after) {
			continue
		}
		hardCuts++
		require.Equal(t, -1, bytes.IndexFunc(piece, func(r rune) bool { return !wordcount.IsWord(r) }),
			"a word was split although %q could have been cut elsewhere", piece)
	}
	if hardCuts > 0 || !utf8.Valid(text) {
		return
	}
	var parts tally
	for _, piece := range pieces {
		parts.add(wordcount.Count(piece))
	}
	require.Empty(t, difference(parts.total(), wordcount.Count(text)))
}

func FuzzCutter(f *testing.F) {
	f.Add([]byte("the quick brown fox jumps over the lazy dog"), uint8(9))
	f.Add([]byte("ünïcödé 世界 \xff\xc3 x"), uint8(4))
	f.Add(bytes.Repeat([]byte("word "), 100), uint8(250))
	f.Fuzz(func(t *testing.T, text []byte, limit uint8) {
		most := max(int(limit), utf8.UTFMax)
		c := newCutter(most)
		pieces := cutAll(t, c, bytes.NewReader(text))
		requireGoodPieces(t, text, pieces, most)
		require.Equal(t, pieces, cutAll(t, c, iotest.OneByteReader(bytes.NewReader(text))), "a cutter can be used again, however the text comes")
	})
}

func TestCutterPieceLimit(t *testing.T) {
	text := []byte(strings.Repeat("Wörter und words, ", 3*pieceLimit/18) + strings.Repeat("x", pieceLimit+10))
	pieces := cutAll(t, newCutter(pieceLimit), bytes.NewReader(text))
	require.Equal(t, 6, len(pieces), "three full ones, the end of the phrases, the long word cut in two")
	requireGoodPieces(t, text, pieces, pieceLimit)
}

func TestCutterReturnsReadErrors(t *testing.T) {
	broken := errors.New("broken")
	c := newCutter(8)
	c.reset(io.MultiReader(strings.NewReader("abc defgh ijkl"), iotest.ErrReader(broken)))
	_, err := c.next()
	require.NoError(t, err)
	_, err = c.next()
	require.ErrorIs(t, err, broken)
}
