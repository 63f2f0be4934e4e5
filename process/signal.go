package process

import "strconv"

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
