package modes

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

var leavers = map[string]mode{
	// Exits in the middle of a call, as if all were well.
	"exit-0": {call: func(*host, call) { os.Exit(0) }},

	// Exits in the middle of its answer.
	"exit-half": {call: func(h *host, c call) {
		whole := reply(c.id, "an answer that never comes whole")
		h.write(whole[:len(whole)-5])
		os.Exit(0)
	}},

	// Closes its standard output and runs on.
	"mute": {call: func(h *host, _ call) {
		_ = os.Stdout.Close()
		h.silent = true
	}},

	// Leaves a child in its process group, which holds all three pipes, answers with the child's process id, and exits.
	"grandchild": {call: func(h *host, c call) { h.leaveChild(c, holder()) }},

	// Leaves one that has left the group, too.
	"daemon": {call: func(h *host, c call) { h.leaveChild(c, escaped(holder())) }},
}

// holder is this program as the one that holds its standard streams open.
func holder() *exec.Cmd {
	child := exec.Command(os.Args[0], "holder")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	return child
}

func (h *host) leaveChild(c call, child *exec.Cmd) {
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
	h.write(reply(c.id, child.Process.Pid))
	os.Exit(0)
}

// heldFor bounds a holder's life, should nobody end it.
const heldFor = time.Minute

// hold is a holder's life: it ends when nobody is at the other end of the standard input.
func hold() int {
	time.AfterFunc(heldFor, func() { os.Exit(1) })
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}
