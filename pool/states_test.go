package pool

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite docs/states.md from the table")

const statesFile = "../docs/states.md"

// TestStatesPage keeps docs/states.md, which is generated, in line with the table.
func TestStatesPage(t *testing.T) {
	want := statesPage()
	if *update {
		require.NoError(t, os.WriteFile(statesFile, []byte(want), 0o644))
	}
	got, err := os.ReadFile(statesFile)
	require.NoError(t, err)
	require.Equal(t, want, strings.ReplaceAll(string(got), "\r\n", "\n"), "rewrite it with: go test ./pool -run TestStatesPage -update")
}

func statesPage() string {
	var b strings.Builder
	b.WriteString(`# The states of a slot

Generated from the table in pool/table.go by ` + "`go test ./pool -run TestStatesPage -update`" + `; do not edit.

A pool has slots for Max workers and for successors, each a place for one worker process at a time. This is the life of one slot. Events carry the generation of the
process that they are about; one of another generation is late, it changes nothing, and its process is stopped and reaped all the same.

## Diagram

` + "```mermaid\nstateDiagram-v2\n    [*] --> stopped\n")
	for from := range numStates {
		for to := range numStates {
			if kinds := eventsBetween(from, to); len(kinds) > 0 {
				fmt.Fprintf(&b, "    %v --> %v: %s\n", from, to, strings.Join(kinds, ", "))
			}
		}
	}
	b.WriteString("```\n\nEvents that leave the state as it is are in the table alone.\n\n## States\n\n")
	for _, s := range stateMeanings {
		fmt.Fprintf(&b, "- **%v**: %s\n", s.state, s.meaning)
	}
	b.WriteString("\n## Table\n\nBold is the next state; without it the state stays. An *internal error* is a bug: it changes nothing, is counted, logged, and fails tests.\n\n")
	b.WriteString("| event |")
	for s := range numStates {
		fmt.Fprintf(&b, " %v |", s)
	}
	b.WriteString("\n|" + strings.Repeat("---|", int(numStates)+1) + "\n")
	for k := range numEvents {
		fmt.Fprintf(&b, "| %s |", eventMeanings[k])
		for s := range numStates {
			fmt.Fprintf(&b, " %s |", cellText(table[k][s]))
		}
		b.WriteString("\n")
	}
	return b.String()
}

var stateMeanings = []struct {
	state   State
	meaning string
}{
	{StateStopped, "no process; the next one may be launched."},
	{StateStarting, "a process is being launched, greeted and given to the start hook."},
	{StateReady, "handshake and start hook are done; calls may run. A *retiring* worker is ready, too, and gets no further calls."},
	{StateStopping, "the process is on the ladder; it gets no further calls."},
	{StateWaitingReady, "a stop came while the process was starting; it begins when the process has started or failed to."},
}

var eventMeanings = [numEvents]string{
	evGet:          "get (a caller wants the connection, or the pool needs a worker)",
	evStop:         "stop (the user's)",
	evCreated:      "created (handshake and start hook are done)",
	evStartFailed:  "start failed, the process exists",
	evLaunchFailed: "launch failed, no process",
	evTerminated:   "terminated",
	evRetire:       "retire (no further calls)",
	evDrained:      "drained (a retiring worker has no calls left, or RetireGrace is over)",
	evKill:         "kill (at once)",
	evRungOver:     "the rung's time is over",
}

func eventsBetween(from, to State) []string {
	var kinds []string
	for k := range numEvents {
		if table[k][from].next == to {
			kinds = append(kinds, k.String())
		}
	}
	return kinds
}

func cellText(c cell) string {
	var parts []string
	if c.next != same {
		parts = append(parts, "**"+c.next.String()+"**")
	}
	for _, a := range c.do {
		parts = append(parts, a.String())
	}
	text := strings.Join(parts, "; ")
	if slices.Contains(c.do, actInternal) {
		text = "*" + text + "*"
	}
	switch {
	case c.note != "" && text != "":
		text += " (" + c.note + ")"
	case c.note != "":
		text = c.note
	}
	return text
}
