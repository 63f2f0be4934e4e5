package arch

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unfinished matches what code says where something is left to be built. The words are cut in two so that this file does not match.
var unfinished = regexp.MustCompile(`(?i)not (yet )?impl` + `emented|unimpl` + `emented|implement ` + `me\b|to be impl` + `emented|left as an exer` + `cise|context\.TO` + `DO`)

// What a package cannot do on some system is said to its caller in an error that names the system, not by a stub.
func TestNothingIsLeftUnfinished(t *testing.T) {
	for _, s := range sources(t) {
		text := strings.ToLower(s.text)
		if !strings.Contains(text, "implement") && !strings.Contains(text, "exercise") && !strings.Contains(text, "context.to") {
			continue // the expression is slow
		}
		for _, at := range unfinished.FindAllStringIndex(s.text, -1) {
			t.Errorf("%s: says %q", s.path, s.text[at[0]:at[1]])
		}
	}
}

func TestUnfinishedIsNoticed(t *testing.T) {
	for _, text := range []string{"not impl" + "emented", "Not yet impl" + "emented", "errUnimpl" + "emented", "context.TO" + "DO()"} {
		require.Regexp(t, unfinished, text)
	}
	require.NotRegexp(t, unfinished, "the interface is implemented by Peer")
}
