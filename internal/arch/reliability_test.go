package arch

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	namedTest    = regexp.MustCompile("`([a-z]+)\\.(Test[A-Za-z0-9_]+)`")
	declaredTest = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\)`)
)

// TestPromisesAreHeld looks for the tests that docs/reliability.md names.
func TestPromisesAreHeld(t *testing.T) {
	declared := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			for _, m := range declaredTest.FindAllStringSubmatch(s.text, -1) {
				declared[s.pkg+"."+m[1]] = true
			}
		}
	}
	named := namedTest.FindAllStringSubmatch(readDoc(t, "reliability.md"), -1)
	require.NotEmpty(t, named)
	for _, m := range named {
		require.True(t, declared[m[1]+"."+m[2]], "docs/reliability.md: there is no test %s.%s", m[1], m[2])
	}
}
