package framing

import "sync"

const (
	shift = 2 << 10 // where in a page a message begins: see place
	roomy = 4       // a place that is used again may be so many times as large as needed
)

// places are those of messages that nobody keeps.
var places sync.Pool

// place returns room for a message of that size. Bytes that are not copied again keep their place in a page from the pipe that they come from to the
// one that they go to, give or take the headers. But a kernel's copy to a place 1 to 15 bytes behind its source's, counted within pages, takes four
// times as long as others on processors such as AMD's Zen 4, and a header or two behind is where the data of an echo would go. Half a page off
// is far from it.
func place(size int) []byte {
	if p, ok := places.Get().(*[]byte); ok && cap(*p) >= size && cap(*p)/roomy <= size {
		return *p
	}
	return make([]byte, shift+size)[shift:shift]
}

// Recycle takes the Body of a message that is Owned and of which nobody keeps anything, for messages to come.
func Recycle(body []byte) {
	if cap(body) >= direct {
		body = body[:0]
		places.Put(&body)
	}
}
