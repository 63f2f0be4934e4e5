//go:build !linux

package main

import "os"

// faultSignals: none elsewhere, and chaos refuses to run.
var faultSignals map[string]os.Signal

var thaw os.Signal
