//go:build !linux && !darwin

package process

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStartIsUnsupportedHere(t *testing.T) {
	_, err := Start(Command{Path: "true"}, Options{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, runtime.GOOS)
	var start *StartError
	require.ErrorAs(t, err, &start)
	require.Equal(t, "true", start.Path)
}
