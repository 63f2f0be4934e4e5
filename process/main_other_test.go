//go:build !linux

package process

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func playProgram(string, []string) int { return 2 }

type stock struct{}

func takeStock() stock { return stock{} }

func (stock) leftovers() string { return "" }

func TestStartIsUnsupportedHere(t *testing.T) {
	_, err := Start(Command{Path: "true"}, Options{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, runtime.GOOS)
	var start *StartError
	require.ErrorAs(t, err, &start)
	require.Equal(t, "true", start.Path)
}
