package main

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/stdcrew/stdcrew/testworkers/index/wordcount"
)

// pieceLimit is the most bytes of a file that one call carries.
const pieceLimit = 1 << 20

// cutter cuts a text into pieces between words. It holds one piece and reads
// no further than it must. A cutter may be used again for the next text, by one
// goroutine at a time.
type cutter struct {
	limit int // most bytes of a piece; at least utf8.UTFMax
	text  io.Reader
	// buf holds what was read and not yet given out. Its capacity is the limit
	// and one rune: a cut at the limit depends on the rune behind it.
	buf []byte
}

func newCutter(limit int) *cutter {
	return &cutter{limit: limit, buf: make([]byte, 0, limit+utf8.UTFMax)}
}

// reset begins a new text.
func (c *cutter) reset(text io.Reader) {
	c.text, c.buf = text, c.buf[:0]
}

// next returns the next piece, which is the caller's to keep and never empty, or io.EOF
// after the last. Put together the pieces are the text. A word is never in two
// pieces unless it alone is longer than the limit.
func (c *cutter) next() ([]byte, error) {
	n, err := io.ReadFull(c.text, c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if len(c.buf) == 0 {
		return nil, io.EOF
	}
	at := cutAt(c.buf, c.limit)
	piece := bytes.Clone(c.buf[:at])
	c.buf = c.buf[:copy(c.buf, c.buf[at:])]
	return piece, nil
}

// cutAt returns where to cut text, which goes on for a rune behind limit or
// ends: at the last place up to limit that is not within a word or, where there is
// none, not within a rune.
func cutAt(text []byte, limit int) int {
	if len(text) <= limit {
		return len(text)
	}
	hard := runeStart(text, limit)
	after, _ := utf8.DecodeRune(text[hard:])
	for at := hard; at > 0; {
		before, size := utf8.DecodeLastRune(text[:at])
		if !wordcount.IsWord(before) || !wordcount.IsWord(after) {
			return at
		}
		after = before
		at -= size
	}
	return hard
}

// runeStart returns the last start of a rune up to at; where the bytes are no UTF-8, at itself.
func runeStart(text []byte, at int) int {
	for start := at; start > max(0, at-utf8.UTFMax); start-- {
		if utf8.RuneStart(text[start]) {
			return start
		}
	}
	return at
}
