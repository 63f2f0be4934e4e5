package modes

import (
	"fmt"
	"io"
	"os"
	"time"
)

// slowStart is how long the mode slow takes before it says hello.
const slowStart = 200 * time.Millisecond

var starts = map[string]mode{
	// Says hello, and is ready, late.
	"slow": {begin: func() { time.Sleep(slowStart) }},

	// Never says hello. It still goes when it is told to.
	"never-hello": {greet: func(h *host) error {
		warn(h)
		return h.readOn()
	}},

	// Says hello and exits.
	"hello-exit": {greet: func(h *host) error {
		h.write(hello())
		warn(h)
		os.Exit(3)
		return nil
	}},

	// Says hello, and never that it is ready.
	"hello-silent": {greet: func(h *host) error {
		h.write(hello())
		warn(h)
		return h.readOn()
	}},
}

// warn says on the standard error what is about to happen.
func warn(h *host) { fmt.Fprintf(os.Stderr, "about to play %s\n", h.name) }

// readOn reads to the end of the standard input and does nothing else.
func (h *host) readOn() error {
	h.silent = true
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return io.EOF
}
