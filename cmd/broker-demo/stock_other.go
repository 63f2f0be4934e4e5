//go:build !linux

package main

import (
	"errors"
	"fmt"
)

func takeStock(string) (stock, error) {
	return stock{}, fmt.Errorf("look for what is left: %w on this system", errors.ErrUnsupported)
}
