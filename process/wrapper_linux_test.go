package process

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wrapped is a program that stops when it is told, and says so. It has a child of its own.
const wrapped = `trap "echo stopped; exit 0" TERM; sleep 300 & echo $$ $!; wait`

// wrappers are shell commands that run the program in $0 at the end of a chain. They pass TERM by, and end when the program does.
var wrappers = map[string]string{
	"background":       `trap : TERM; sh -c "$0" & wait; wait`,
	"foreground":       `trap : TERM; sh -c "$0"; exit $?`,
	"wrapper of those": `trap : TERM; sh -c 'trap : TERM; sh -c "$0" & wait; wait' "$0"; exit $?`,
	"npx-like":         `trap : TERM; node -e 'process.on("SIGTERM", () => {}); require("child_process").spawn("sh", ["-c", process.argv[1]], {stdio: "inherit"})' "$0"; exit $?`,
}

func wrapper(t *testing.T, script string) (p *Process, out *bufio.Reader, pids []int) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil && strings.Contains(script, "node") {
		t.Skip("needs node")
	}
	p = run(t, Command{Path: "sh", Args: []string{"-c", script, wrapped}}, Options{})
	out = bufio.NewReader(p.Stream())
	line, err := out.ReadString('\n')
	require.NoError(t, err, p.StderrTail())
	for _, field := range strings.Fields(line) {
		pid, err := strconv.Atoi(field)
		require.NoError(t, err)
		require.False(t, gone(pid))
		pids = append(pids, pid)
	}
	require.Len(t, pids, 2)
	t.Cleanup(func() { killAll(pids) })
	return p, out, pids
}

func TestP30_SignalsReachWhatIsWrapped(t *testing.T) {
	for name, script := range wrappers {
		t.Run(name, func(t *testing.T) {
			p, out, pids := wrapper(t, script)
			r := p.Stop(t.Context(), []Rung{{Step: Terminate, Grace: patience}, {Step: Kill}}, nil)
			require.Zero(t, r.Signal, "it ended by itself: %v", r)
			line, err := out.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "stopped\n", line)
			requireGone(t, pids)
		})
	}
}

func TestP30_WrappersAreKilledWhole(t *testing.T) {
	for name, script := range wrappers {
		t.Run(name, func(t *testing.T) {
			p, _, pids := wrapper(t, script)
			r := p.Stop(t.Context(), []Rung{{Step: CloseStdin, Grace: time.Millisecond}, {Step: Kill}}, nil)
			require.Equal(t, KILL, r.Signal)
			require.Empty(t, r.Strays, "they were in the group")
			requireGone(t, pids)
		})
	}
}

// A wrapper that ends at once takes with it what it has wrapped.
func TestP30_WrapperThatDoesNotWait(t *testing.T) {
	p, _, pids := wrapper(t, `sh -c "$0" & wait`)
	require.Equal(t, TERM, p.Stop(t.Context(), []Rung{{Step: Terminate, Grace: patience}}, nil).Signal)
	requireGone(t, pids)
}
