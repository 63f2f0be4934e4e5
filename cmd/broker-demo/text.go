package main

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

const (
	nulWindow  = 8 << 10  // a NUL within so many bytes of a file's start means that it is no text
	scanBuffer = 64 << 10 // bytes read at a time while a file is looked at
)

// isText reports whether all of r is valid UTF-8 without a NUL in its first
// nulWindow bytes. It needs the same little memory for any length.
func isText(r io.Reader) (bool, error) {
	var buf [scanBuffer]byte
	kept := 0 // bytes at the start of buf: a rune whose end has not been read yet
	for offset := 0; ; {
		n, err := io.ReadFull(r, buf[kept:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return false, err
		}
		fresh := buf[kept : kept+n]
		if window := min(n, max(0, nulWindow-offset)); bytes.IndexByte(fresh[:window], 0) >= 0 {
			return false, nil
		}
		offset += n

		seen := buf[:kept+n]
		if err != nil {
			return utf8.Valid(seen), nil
		}
		whole := wholeRunes(seen)
		if !utf8.Valid(seen[:whole]) {
			return false, nil
		}
		kept = copy(buf[:], seen[whole:])
	}
}

// wholeRunes returns the length of b without a rune at its end that is valid
// so far but incomplete.
func wholeRunes(b []byte) int {
	for start := len(b) - 1; start >= max(0, len(b)-utf8.UTFMax); start-- {
		if !utf8.RuneStart(b[start]) {
			continue
		}
		if utf8.FullRune(b[start:]) {
			break
		}
		return start
	}
	return len(b)
}
