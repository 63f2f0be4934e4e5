//go:build !linux

package main

import "time"

// Without Linux there are no workers whose time could be measured, and the host's alone says little.

func cpuOfHost() (time.Duration, bool) { return 0, false }

func cpuOfDead() (time.Duration, bool) { return 0, false }

func cpuOfLiving(int) (time.Duration, bool) { return 0, false }
