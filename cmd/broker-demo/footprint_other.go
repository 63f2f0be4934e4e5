//go:build !linux

package main

import (
	"errors"
	"fmt"
	"runtime"
)

func measure() (footprint, error) {
	return footprint{}, fmt.Errorf("what this process takes cannot be measured on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func children() (int, error) { return 0, nil }
