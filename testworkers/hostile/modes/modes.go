package modes

import (
	"fmt"
	"maps"
	"os"
	"slices"
)

// mode is one way to misbehave. What is nil is played by the book.
type mode struct {
	begin  func()                        // before the handshake
	greet  func(*host) error             // in place of the handshake
	call   func(*host, call)             // in place of the answer to misbehave
	cancel func(h *host, misbehave bool) // in place of ending a call that is canceled
	keeps  bool                          // the calls of hold are not answered after misbehave
	leave  func()                        // in place of the goodbye, when the host asks for it, and of the exit at the end of the standard input
}

// families are the modes, file by file.
var families = []map[string]mode{starts, chatter, garbage, bombs, answers, leavers, stuck}

// Names returns the names of all modes.
func Names() (names []string) {
	for _, family := range families {
		names = slices.AppendSeq(names, maps.Keys(family))
	}
	slices.Sort(names)
	return names
}

// Main plays the mode that the first argument names, on the standard input and output, and returns the exit code when the host is gone. If there
// is a second argument, it is the path of a file: where that does not exist the worker is a good one.
//
// The names "holder" and "good" are no modes: a holder does nothing until its standard input ends, and a good worker does not misbehave.
func Main(args []string) int {
	name := "good"
	if len(args) > 0 {
		name = args[0]
	}
	if len(args) > 1 {
		if _, err := os.Stat(args[1]); err != nil {
			name = "good"
		}
	}
	switch name {
	case "holder":
		return hold()
	case "good":
		return newHost(name, mode{}).serve()
	}
	for _, family := range families {
		if m, ok := family[name]; ok {
			return newHost(name, m).serve()
		}
	}
	fmt.Fprintf(os.Stderr, "hostile: no mode %q; there is %v\n", name, Names())
	return 2
}
