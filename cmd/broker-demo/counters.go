package main

import "sync/atomic"

// counters is what a run has done so far, over all its passes. Any goroutine
// may add to it and read it.
type counters struct {
	files      atomic.Int64 // text files whose every piece has been answered
	bytes      atomic.Int64 // bytes of the pieces that have been answered
	calls      atomic.Int64 // calls that have ended, however
	failed     atomic.Int64 // calls that ended with an error
	skipped    atomic.Int64 // files that are not text
	unreadable atomic.Int64 // files and directories that could not be read
}

// looked returns the number of files that the run is done with.
func (c *counters) looked() int64 {
	return c.files.Load() + c.skipped.Load() + c.unreadable.Load()
}
