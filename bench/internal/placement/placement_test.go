package placement

import (
	"flag"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlagIsChecked(t *testing.T) {
	var where string
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	Flag(f, &where)
	require.NoError(t, f.Parse(nil))
	require.Empty(t, where)
	for _, p := range All {
		require.NoError(t, f.Parse([]string{"-placement", p}))
		require.Equal(t, p, where)
	}
	require.EqualError(t, f.Parse([]string{"-placement", "loose"}), `invalid value "loose" for flag -placement: must be free or pinned`)
}
