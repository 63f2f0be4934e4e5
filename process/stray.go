package process

import (
	"fmt"
	"strings"
)

// Stray is a process that another one has left behind.
type Stray struct {
	PID int

	// Name is what the system calls it: that of its program, or what it has named itself, at most 15 bytes.
	Name string

	// Killed says that it was sent KILL. Otherwise it may still run, because this program was not allowed to kill it.
	Killed bool
}

// String names the process and what became of it, as in "sleep (pid 812, killed)".
func (s Stray) String() string {
	end := "killed"
	if !s.Killed {
		end = "may still run"
	}
	return fmt.Sprintf("%s (pid %d, %s)", s.Name, s.PID, end)
}

// quotedStrays is how many a report's text names.
const quotedStrays = 3

// describeStrays is what a report's text says of them.
func describeStrays(strays []Stray) string {
	if len(strays) == 0 {
		return ""
	}
	var names []string
	for _, s := range strays[:min(len(strays), quotedStrays)] {
		names = append(names, s.String())
	}
	text := ", left behind " + strings.Join(names, ", ")
	if more := len(strays) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
