//go:build !unix

package main

import (
	"errors"
	"fmt"
	"runtime"
)

var floor = contender{name: floorName, start: func(workload) (*session, error) {
	return nil, fmt.Errorf("the floor is made of POSIX system calls, which %s has not: %w", runtime.GOOS, errors.ErrUnsupported)
}}
