package modes

import (
	"os"
	"strings"
	"time"

	"github.com/stdcrew/stdcrew/framing"
)

const (
	babble     = 80 << 10 // more than a host skips before the hello
	stderrPart = 16 << 10
	stderrMuch = 1 << 20 // more than a pipe holds
)

var chatter = map[string]mode{
	// Prints before the hello, as libraries do when they are loaded.
	"banner": {begin: func() { say("Loading model…\n42 tensors\n") }},

	// Prints what looks like frames up to the very hello.
	"banner-torn": {greet: func(h *host) error {
		torn := []byte{framing.Magic, framing.Magic, 0x41}
		torn = append(torn, frame(typeHello, 0, 0, []byte("stdcrow, not stdcrew"))...)
		torn = append(torn, frame(typeReply, 0, 2, value("too early"))...)
		torn = append(torn, frame(typeHello, 0, 0, nil)[:framing.HeaderSize-1]...)
		h.write(append(torn, hello()...))
		return h.welcomed()
	}},

	// Prints so much before the hello that it cannot be an accident.
	"babble": {begin: func() { say(strings.Repeat("Usage: babble [-h] FILE\n", babble/24+1)) }},

	// Prints between hello and ready.
	"greet": {greet: func(h *host) error {
		h.write(hello())
		say("Connected to a host!\n")
		warn(h)
		return h.welcomed()
	}},

	// Prints in the middle of a call.
	"print": {call: func(h *host, c call) {
		say("DEBUG: in the handler\n")
		h.write(reply(c.id, os.Getpid()))
	}},

	// Prints behind a good answer, in one write with it.
	"print-after": {call: func(h *host, c call) { h.write(append(reply(c.id, os.Getpid()), "DEBUG: answered\n"...)) }},

	// Writes to the standard error without end, in lines. The call is answered when more of it has been taken than a pipe holds.
	"stderr-lines": {call: func(h *host, c call) { flood(h, c, strings.Repeat("a line of no interest\n", stderrPart/22)) }},

	// Writes one endless line.
	"stderr-endless": {call: func(h *host, c call) { flood(h, c, strings.Repeat("no newline ", stderrPart/11)) }},
}

// say is what a program does that does not know whose its standard output is.
func say(text string) { _, _ = os.Stdout.WriteString(text) }

func flood(h *host, c call, text string) {
	for range stderrMuch / stderrPart {
		_, _ = os.Stderr.WriteString(text)
	}
	// Ends with the process.
	go func() {
		for ; ; time.Sleep(time.Millisecond) { // without end, and yet not a whole processor's work
			_, _ = os.Stderr.WriteString(text)
		}
	}()
	h.write(reply(c.id, os.Getpid()))
}
