//go:build linux || darwin

package process

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// envChild carries the marks of a child to all its descendants: its own, and before it those that this program was started with itself, so that
// whoever started this program finds its grandchildren too.
const envChild = "STDCREW_CHILD"

// maxInheritedMarks is how many bytes of marks are passed on. Programs that are nested deeper keep the own mark only.
const maxInheritedMarks = 1 << 10

const markSeparator = ","

// newMark returns a mark that no process has.
func newMark() string { return fmt.Sprintf("%s.%d", hostMark(), lastMark.Add(1)) }

// hostMark tells this run of this program from all others: its pid is for people who look, and comes again.
var hostMark = sync.OnceValue(func() string { return fmt.Sprintf("%d.%016x", os.Getpid(), rand.Uint64()) })

var lastMark atomic.Uint64

// marked returns the environment entries with that of the mark. An empty mark adds nothing, but hands on what is inherited.
func marked(extra []string, mark string) []string {
	marks := os.Getenv(envChild)
	switch {
	case marks == "" || len(marks) > maxInheritedMarks:
		marks = mark
	case mark != "":
		marks += markSeparator + mark
	}
	if marks == "" {
		return extra
	}
	return append(slices.Clip(extra), envChild+"="+marks)
}
