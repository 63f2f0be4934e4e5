//go:build !linux

package main

import "time"

// doze sleeps for d.
func doze(d time.Duration) { time.Sleep(d) }
