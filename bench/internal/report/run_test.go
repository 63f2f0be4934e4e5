package report

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Commands that make the test program another one: it prints its argument, or fails.
const (
	printCommand = "print"
	failCommand  = "fail"
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == printCommand:
		fmt.Println(os.Args[2])
		os.Exit(0)
	case len(os.Args) == 2 && os.Args[1] == failCommand:
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func TestRunReadsWhatAProgramPrints(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	results, err := Run[Result](exec.Command(self, printCommand, `[{"workload": "64B/c1/w1/f1", "ratio": {"p50": 2}}]`))
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.Equal(t, 2.0, results[0].Ratio.P50)
	_, err = Run[Result](exec.Command(self, printCommand, "["))
	require.ErrorContains(t, err, "read the results")
	_, err = Run[Result](exec.Command(self, failCommand))
	require.EqualError(t, err, "measure: exit status 3")
}
