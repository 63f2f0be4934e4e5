package arch

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sleepers are the test files that sleep and import no synctest, with the reason why that is no bet on time.
var sleepers = map[string]string{
	"broker/errorcases_test.go":    "its cases run in the bubbles of errortext_test.go",
	"broker/main_linux_test.go":    "between two looks at processes",
	"broker/process_linux_test.go": "between two looks at processes",
	"monitor/stress_test.go":       "in bubbles of rig_test.go",
	"pool/jsonlines_test.go":       "a slow dialect, in bubbles",
	"pool/options_test.go":         "in a bubble of crew_test.go",
}

// P40: a test that sleeps and hopes is slow where time is plenty and fails where it is short.
func TestP40_TestsDoNotSleep(t *testing.T) {
	var found []string
	for _, s := range sources(t) {
		if s.test && strings.Contains(s.text, "time."+"Sleep(") && !slices.Contains(s.imports, "testing/synctest") {
			found = append(found, s.path)
		}
	}
	for _, path := range found {
		require.Contains(t, sleepers, path, "sleeps outside of a synctest bubble")
	}
	require.Len(t, found, len(sleepers), "a file listed here sleeps no more")
}
