package wordcount

import (
	"unicode"
	"unicode/utf8"
)

// IsWord reports whether r belongs to words: whether it is a letter or a decimal digit.
func IsWord(r rune) bool {
	if r < utf8.RuneSelf {
		return asciiLower[r] != 0
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// asciiLower holds the lower-cased byte for each ASCII letter and digit, and 0
// for the rest: most of most texts is ASCII, and a table costs one load.
var asciiLower = func() (table [utf8.RuneSelf]byte) {
	for c := byte('0'); c <= '9'; c++ {
		table[c] = c
	}
	for c := byte('a'); c <= 'z'; c++ {
		table[c] = c
		table[c-'a'+'A'] = c
	}
	return table
}()

// Count returns how often each word occurs in text. The map is never nil, its
// keys do not alias text, and it belongs to the caller.
func Count(text []byte) map[string]int {
	var c counter
	for i := 0; i < len(text); {
		if b := text[i]; b < utf8.RuneSelf {
			i++
			if lower := asciiLower[b]; lower != 0 {
				c.word = append(c.word, lower)
			} else {
				c.end()
			}
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		i += size
		if IsWord(r) {
			c.word = utf8.AppendRune(c.word, unicode.ToLower(r))
		} else {
			c.end()
		}
	}
	c.end()
	return c.result()
}

// counter keeps the counts beside the map, because looking a byte slice up in
// a map allocates nothing while storing under one allocates its key each time.
type counter struct {
	word   []byte // the word being read, lower-cased
	index  map[string]int
	counts []int
}

// end counts the word that has been read, if there is one.
func (c *counter) end() {
	if len(c.word) == 0 {
		return
	}
	if i, ok := c.index[string(c.word)]; ok {
		c.counts[i]++
	} else {
		if c.index == nil {
			c.index = make(map[string]int)
		}
		c.index[string(c.word)] = len(c.counts)
		c.counts = append(c.counts, 1)
	}
	c.word = c.word[:0]
}

func (c *counter) result() map[string]int {
	words := make(map[string]int, len(c.counts))
	for word, i := range c.index {
		words[word] = c.counts[i]
	}
	return words
}
