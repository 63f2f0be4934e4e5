package report

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunReadsWhatAProgramPrints(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	results, err := Run[Result](exec.Command("sh", "-c", `echo '[{"workload": "64B/c1/w1/f1", "ratio": {"p50": 2}}]'`))
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.Equal(t, 2.0, results[0].Ratio.P50)
	_, err = Run[Result](exec.Command("sh", "-c", "echo '['"))
	require.ErrorContains(t, err, "read the results")
	_, err = Run[Result](exec.Command("sh", "-c", "exit 3"))
	require.EqualError(t, err, "measure: exit status 3")
}
