//go:build !unix

package main

import (
	"errors"
	"fmt"
	"runtime"
)

var errNoPing = fmt.Errorf("the raw pipe's floor is made of POSIX system calls, which %s has not: %w", runtime.GOOS, errors.ErrUnsupported)

func newPing(int) (contender, error) { return nil, errNoPing }

func pong(string) error { return errNoPing }
