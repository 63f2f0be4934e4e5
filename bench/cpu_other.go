//go:build !linux

package main

import "time"

// cpuTime returns 0, which is shown as a dash: there is no clock of another process here.
func cpuTime(int) (time.Duration, error) { return 0, nil }
