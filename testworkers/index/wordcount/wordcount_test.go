package wordcount_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/testworkers/index/wordcount"
)

func TestCount(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]int
	}{
		{"empty", "", map[string]int{}},
		{"nothing but separators", " \t\n.,;-_()\x00", map[string]int{}},
		{"case is folded", "Go go GO", map[string]int{"go": 3}},
		{"the last word needs no separator", "a b", map[string]int{"a": 1, "b": 1}},
		{"digits are word runes", "utf8 8 x86_64", map[string]int{"utf8": 1, "8": 1, "x86": 1, "64": 1}},
		{"an apostrophe separates", "don't", map[string]int{"don": 1, "t": 1}},
		{"other scripts", "Ünïcödé ДА да 世界 ٣", map[string]int{"ünïcödé": 1, "да": 2, "世界": 1, "٣": 1}},
		{"a combining mark separates", "e\u0301a", map[string]int{"e": 1, "a": 1}},
		{"invalid UTF-8 separates", "ab\xffcd\xc3", map[string]int{"ab": 1, "cd": 1}},
		{"numbers that are no decimal digits separate", "a½b²", map[string]int{"a": 1, "b": 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, wordcount.Count([]byte(test.text)))
		})
	}
}

// slowCount says the same as Count in the plainest way there is.
func slowCount(text string) map[string]int {
	words := map[string]int{}
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		words[strings.Map(unicode.ToLower, field)]++
	}
	return words
}

func FuzzCount(f *testing.F) {
	f.Add("The quick brown Fox, the LAZY dog.", 4)
	f.Add("Ünï\xff\xc3 世界x1", 7)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		whole := wordcount.Count([]byte(text))
		require.Equal(t, slowCount(text), whole)

		if cut <= 0 || cut >= len(text) {
			return
		}
		before, _ := utf8.DecodeLastRuneInString(text[:cut])
		after, _ := utf8.DecodeRuneInString(text[cut:])
		if !utf8.RuneStart(text[cut]) || wordcount.IsWord(before) && wordcount.IsWord(after) {
			return
		}
		parts := wordcount.Count([]byte(text[:cut]))
		for word, n := range wordcount.Count([]byte(text[cut:])) {
			parts[word] += n
		}
		require.Equal(t, whole, parts)
	})
}

func TestIsWordAgreesWithUnicode(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if want := unicode.IsLetter(r) || unicode.IsDigit(r); want != wordcount.IsWord(r) {
			require.Equal(t, want, wordcount.IsWord(r), "%U", r)
		}
	}
}

func BenchmarkCount(b *testing.B) {
	text := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog, 42 times.\n", 1000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		wordcount.Count(text)
	}
}
