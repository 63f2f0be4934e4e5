package process

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// linesOf cuts text that comes in pieces of a size.
func linesOf(text string, maximum, size int) []string {
	var got []string
	lines := Lines{Max: maximum, Emit: func(line string) { got = append(got, line) }}
	for piece := range slices.Chunk([]byte(text), size) {
		n, err := lines.Write(piece)
		if n != len(piece) || err != nil {
			panic(fmt.Sprint(n, err))
		}
	}
	lines.Flush()
	lines.Flush() // nothing is left for the second
	return got
}

func TestL1_14_LinesInAnyPieces(t *testing.T) {
	for _, c := range []struct {
		text    string
		maximum int
		want    []string
	}{
		{"", 0, nil},
		{"\n", 0, []string{""}},
		{"one\n\ntwo\r\n\r\n", 0, []string{"one", "", "two", ""}},
		{"a\rb\n", 0, []string{"a\rb"}},
		{"unterminated", 0, []string{"unterminated"}},
		{"last\r", 0, []string{"last"}},
		{"bad \xff\xfe, good é\n", 0, []string{"bad \uFFFD, good é"}},
		{"half a rune \xc3", 0, []string{"half a rune \uFFFD"}},
		{"12345\n123456\n1234567", 5, []string{"12345", "12345" + cutMark, "12345" + cutMark}},
		{"123é\n1234é\n1234\xff\xff\n", 5, []string{"123é", "1234" + cutMark, "1234\uFFFD" + cutMark}},
		{"1\r234\r\n12345\r6\n123456\r\n", 5, []string{"1\r234", "12345" + cutMark, "12345" + cutMark}},
		{strings.Repeat("x", maxLine) + "\n" + strings.Repeat("x", maxLine+1), 0, []string{strings.Repeat("x", maxLine), strings.Repeat("x", maxLine) + cutMark}},
	} {
		for _, size := range []int{1, 2, 3, 7, 1 << 20} {
			require.Equal(t, c.want, linesOf(c.text, c.maximum, size), "%.40q in pieces of %d", c.text, size)
		}
	}
}

func TestL1_14_AnyLengthHurtsNobody(t *testing.T) {
	var got []string
	lines := Lines{Emit: func(line string) { got = append(got, line) }}
	piece := []byte(strings.Repeat("long ", 1000))
	for range 1000 {
		_, _ = lines.Write(piece)
		require.LessOrEqual(t, cap(lines.line), 4*maxLine)
	}
	_, _ = lines.Write([]byte("\nshort\n"))
	require.Equal(t, []int{maxLine + len(cutMark), len("short")}, []int{len(got[0]), len(got[1])})
	require.LessOrEqual(t, cap(lines.line), keptLine, "the room of a long line is given back")
}

func TestLinesOfRandomText(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2_000 {
		text := make([]byte, random.IntN(40))
		for i := range text {
			text[i] = "ab\r\n\n\xc3\xa9\xff"[random.IntN(8)]
		}
		maximum := 1 + random.IntN(10)
		lines := linesOf(string(text), maximum, 1+random.IntN(5))
		require.Equal(t, linesOf(string(text), maximum, len(text)+1), lines, "the pieces of %q make no difference", text)

		wanted := bytes.Count(text, []byte{'\n'})
		if len(text) > 0 && text[len(text)-1] != '\n' {
			wanted++
		}
		require.Len(t, lines, wanted, "%q", text)
		for _, line := range lines {
			require.True(t, utf8.ValidString(line), "%q of %q", line, text)
			require.LessOrEqual(t, len(line), len("\uFFFD")*maximum+len(cutMark))
		}
	}
}
