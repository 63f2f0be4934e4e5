// Package wordcount counts the words of a text.
//
// A word is a longest run of word runes: letters and decimal digits in the
// sense of [unicode.IsLetter] and [unicode.IsDigit], in any script. All other
// runes separate words: spaces, punctuation, underscores, symbols, combining
// marks, control characters, and bytes that are not valid UTF-8. Each rune of
// a word is lower-cased by [unicode.ToLower] on its own, so "Straße" counts as
// "straße" while "STRASSE" counts as "strasse". There is no stemming and no list of
// words to leave out.
//
// Because [IsWord] decides where words end, a text cut between two runes that
// are not both word runes has the same words in its parts as in the whole:
//
//	Count(a+b) == Count(a) plus Count(b)
//
// The package is pure: it keeps nothing between calls, and any number of
// goroutines may count at once.
package wordcount
