package arch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// groups is how many numbered lines each group of docs/behavior.md has: L1.1 to L1.14, and so on.
var groups = []int{14, 11, 4, 10, 10}

// pitfalls is the number of the last line of docs/pitfalls.md.
const pitfalls = 50

// states and events are the columns and rows of the table of a worker connection, in docs/behavior.md.
var (
	states = []string{"stopped", "starting", "ready", "stopping", "waiting_ready"}
	events = []string{"get", "stop", "created", "start failed", "launch failed", "terminated", "retire", "kill", "rung over"}
)

var numbered = regexp.MustCompile(`(?m)^- \*\*([LP][0-9.]+)\*\* \S`)

func TestBehaviorIsComplete(t *testing.T) {
	var want []string
	for i, lines := range groups {
		for n := range lines {
			want = append(want, fmt.Sprintf("L%d.%d", i+1, n+1))
		}
	}
	require.Equal(t, want, numbers(readDoc(t, "behavior.md")))
}

func TestPitfallsAreComplete(t *testing.T) {
	var want []string
	for n := range pitfalls {
		want = append(want, fmt.Sprintf("P%d", n+1))
	}
	require.Equal(t, want, numbers(readDoc(t, "pitfalls.md")))
}

// The table of states is total: each event has a cell for each state.
func TestL2_TableIsTotal(t *testing.T) {
	_, rest, found := strings.Cut(readDoc(t, "behavior.md"), "\n| event | "+states[0])
	require.True(t, found, "the table's first line")
	rows := map[string][]string{"event": cells("|" + states[0] + strings.SplitN(rest, "\n", 2)[0])}
	for line := range strings.Lines(rest) {
		if strings.HasPrefix(line, "| **") {
			row := cells(line)
			rows[strings.Trim(row[0], "*")] = row[1:]
		}
	}
	require.Equal(t, states, rows["event"])
	for _, event := range events {
		require.Len(t, rows[event], len(states), "row %q", event)
		require.NotContains(t, rows[event], "", "row %q", event)
	}
}

// cells splits a line of a table.
func cells(line string) []string {
	found := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	for i := range found {
		found[i] = strings.TrimSpace(found[i])
	}
	return found
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", name))
	require.NoError(t, err)
	return string(text)
}

// numbers lists the numbered lines of a page in their order.
func numbers(page string) []string {
	var found []string
	for _, m := range numbered.FindAllStringSubmatch(page, -1) {
		found = append(found, m[1])
	}
	return found
}
