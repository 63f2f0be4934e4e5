package process

import (
	"fmt"
	"strconv"
	"strings"
)

// Signal is a signal's number on the system that the program runs on. The zero Signal is none.
//
// The four below have the same number wherever there are signals, and are understood on every system; others are for POSIX systems.
type Signal int

const (
	// HUP tells a daemon to read its configuration again, and ends most other programs.
	HUP Signal = 1
	// INT is what Ctrl-C sends.
	INT Signal = 2
	// KILL ends a process that has no say in it.
	KILL Signal = 9
	// TERM asks a process to end.
	TERM Signal = 15
)

// String returns the signal's name without its SIG, as in KILL, or "signal 35" for one that has none.
func (s Signal) String() string {
	if name := signalName(s); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(int(s))
}

// describe names the signal by number, and by name where it has one: "signal 9 (KILL)".
func (s Signal) describe() string {
	text := "signal " + strconv.Itoa(int(s))
	if name := signalName(s); name != "" {
		text += " (" + name + ")"
	}
	return text
}

// ParseSignal returns the signal with this name, with or without SIG and in upper or lower case, or this number: "TERM", "SIGTERM" and "15" are
// the same. Names other than those of the four above are known on Linux and macOS only. The error lists the names.
func ParseSignal(text string) (Signal, error) {
	if n, err := strconv.Atoi(text); err == nil && 0 < n && n < signalLimit {
		return Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	var names []string
	for s := Signal(1); s < signalLimit; s++ {
		known := signalName(s)
		if known == "" {
			continue
		}
		if known == name {
			return s, nil
		}
		names = append(names, known)
	}
	return 0, fmt.Errorf("unknown signal %q; known are %s, and the numbers from 1 to %d", text, strings.Join(names, ", "), signalLimit-1)
}
