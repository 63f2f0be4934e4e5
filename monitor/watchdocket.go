package monitor

import "context"

// docket is the pure part of a watch: which notification is next, which failure was the first, and when all is over. It has no clock, no lock
// and no goroutine. The Watcher tells it what has happened, one thing at a time, and does what follows.
type docket struct {
	maxLines int  // of those waiting
	all      bool // an unclean exit does not drop what waits

	waiting []notice
	lines   int // how many of those waiting are lines
	late    int // bytes of the lines that were put in since the exit

	running  bool
	turn     int  // counts the notices that were begun, so that the deadline of one never meets another
	overdue  bool // nobody waits any longer for the one that is running
	stopping bool // the process is being ended on purpose

	failure error // the first, if it was not the exit itself
	exited  bool
	success bool // of the exit
	ended   bool
	skip    bool // nothing waits, and nothing more is put in
	over    bool // complete: nothing changes any more
}

// notice is a notification that waits for its turn.
type notice struct {
	handle func(context.Context) error
	line   bool    // it is a line of output
	size   int     // of the line
	key    *string // of NotifyLatest
}

const (
	// maxNotes is how many notices that are no lines may wait.
	maxNotes = 1024

	// lastOutput is how many bytes of lines are put in beyond MaxQueue once the process has exited. A pipe never holds more, so what the
	// process wrote before its end is taken in while handlers are slow, and is not lost when the time to drain the pipe is over.
	lastOutput = 1 << 20
)

// failed tells whether the result is an error already.
func (d *docket) failed() bool {
	return d.failure != nil || d.exited && !d.success
}

// room tells whether another line can be put in. There is room for what is dropped.
func (d *docket) room() bool {
	return d.lines < d.maxLines || d.exited && d.late < lastOutput
}

// addLine puts a line in, at the end.
func (d *docket) addLine(n notice) {
	if d.skip {
		return
	}
	d.lines++
	if d.exited {
		d.late += n.size
	}
	d.waiting = append(d.waiting, n)
}

// add puts in what is no line: in the place of the notice with the same key, or at the end. It returns why it did not.
func (d *docket) add(n notice) error {
	switch {
	case d.failure != nil:
		return d.failure
	case d.skip || d.over:
		return ErrOver
	case d.replace(n):
		return nil
	case len(d.waiting)-d.lines >= maxNotes:
		return ErrQueueFull
	}
	d.waiting = append(d.waiting, n)
	return nil
}

func (d *docket) replace(n notice) bool {
	if n.key == nil {
		return false
	}
	for i, w := range d.waiting {
		if w.key != nil && *w.key == *n.key {
			d.waiting[i] = n
			return true
		}
	}
	return false
}

// next takes out the notice whose turn has come, if none is running. The caller runs it and then says returned.
func (d *docket) next() (notice, bool) {
	if d.running || len(d.waiting) == 0 {
		return notice{}, false
	}
	n := d.waiting[0]
	d.waiting[0] = notice{} // what it refers to is no longer needed
	d.waiting = d.waiting[1:]
	if n.line {
		d.lines--
	}
	d.running = true
	d.turn++
	return n, true
}

// returned says that the running notice has returned, and tells whether somebody still waits for that.
func (d *docket) returned() bool {
	d.running = d.overdue
	return !d.overdue
}

// expired says that the notice of a turn has had its time, and tells whether it was still running. Nobody waits for it then.
func (d *docket) expired(turn int) bool {
	if !d.running || d.overdue || d.turn != turn {
		return false
	}
	d.overdue = true
	return true
}

// fail records a failure, and tells whether it was the first. What waits is skipped then.
func (d *docket) fail(err error) bool {
	if d.over {
		return false
	}
	d.drop()
	if d.failed() {
		return false
	}
	d.failure = err
	return true
}

// stop says that the process is to be ended, and tells whether that is news to a living process.
func (d *docket) stop() bool {
	if d.stopping || d.exited {
		return false
	}
	d.stopping = true
	return true
}

// exit says that the process has exited.
func (d *docket) exit(success bool) {
	if !d.exited {
		d.exited, d.success = true, success
	}
}

// end says that the process has ended, so no more lines will come. What waits is dropped if the exit was unclean; not earlier, so that what
// a failing program says last is at least begun to be handled.
func (d *docket) end() {
	d.ended = true
	if !d.success && !d.all {
		d.drop()
	}
}

// finish tells, once, that the watch is complete: the process has ended, and no notice waits or runs.
func (d *docket) finish() bool {
	if d.over || !d.ended || len(d.waiting) > 0 || d.running && !d.overdue {
		return false
	}
	d.over = true
	return true
}

func (d *docket) drop() { d.waiting, d.lines, d.skip = nil, 0, true }
