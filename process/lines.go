package process

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

const (
	// maxLine is how much of a line is kept. The rest is dropped, up to the line's end.
	maxLine = 8 << 10
	// keptLine is how much room for a line is kept for the next. Long lines are rare, and processes live long.
	keptLine = 4 << 10
)

// cutMark ends a line that was cut.
const cutMark = " … (cut)"

// Lines cuts text, which may come in any pieces, into lines. It is for the output functions of [ManagedOptions], each with Lines of its own.
// One goroutine at a time may use it.
type Lines struct {
	// Max is how many bytes of a line are kept. What is longer loses the rest and ends with " … (cut)". If zero, it is 8 KiB.
	Max int

	// Emit receives each line without its end, which is "\n" or "\r\n". The line is valid UTF-8: bytes that are not are replaced by U+FFFD.
	Emit func(line string)

	line  []byte // the line that has begun, at most Max of it and one byte
	cut   bool   // more of it has been dropped
	begun bool
}

// Write emits the lines that p completes. It takes all of p and has no error.
func (l *Lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece, after, complete := bytes.Cut(rest, []byte{'\n'})
		l.add(piece)
		if complete {
			l.end()
		}
		rest = after
	}
	return len(p), nil
}

// Flush emits the last line, if it has begun and has not been ended.
func (l *Lines) Flush() {
	if l.begun {
		l.end()
	}
}

// add keeps one byte more than the limit: it may be the first half of the line's end.
func (l *Lines) add(piece []byte) {
	l.begun = true
	if room := l.limit() + 1 - len(l.line); len(piece) > room {
		piece = piece[:room]
		l.cut = true
	}
	l.line = append(l.line, piece...)
}

func (l *Lines) limit() int {
	if l.Max <= 0 {
		return maxLine
	}
	return l.Max
}

func (l *Lines) end() {
	line, mark := l.line, ""
	if !l.cut {
		line = bytes.TrimSuffix(line, []byte{'\r'})
	}
	if limit := l.limit(); len(line) > limit {
		line, mark = wholeRunes(line[:limit]), cutMark
	}
	text := strings.ToValidUTF8(string(line), "\uFFFD") + mark
	if cap(l.line) > keptLine {
		l.line = nil
	}
	l.line, l.cut, l.begun = l.line[:0], false, false
	l.Emit(text)
}

// wholeRunes drops a rune that has been cut in two.
func wholeRunes(line []byte) []byte {
	for i := len(line) - 1; i >= max(0, len(line)-utf8.UTFMax); i-- {
		if utf8.RuneStart(line[i]) {
			if !utf8.FullRune(line[i:]) {
				return line[:i]
			}
			break
		}
	}
	return line
}
