package pool

// maxStarts bounds the processes that a pool starts at a time: a storm of starts makes all of them slow.
const maxStarts = 4

// census counts a pool's slots. It is counted afresh after every change of a slot, never kept by adding and subtracting.
type census struct {
	stopped  int
	starting int // and not to be stopped at once
	ready    int // and taking calls
	leaving  int // neither: retiring, on the ladder, or waiting to be
}

// live says that some worker answers calls, or may soon.
func (c census) live() bool { return c.starting+c.ready > 0 }

// demand is what a pool's need of workers depends on.
type demand struct {
	census
	waiting int // callers
	places  int // that one more worker is expected to have, at least 1
	min     int
	paused  bool // backing off or stopping
}

// plan returns how many stopped slots to start now. It is the one place that decides this: for the first process, for more of them,
// and for replacements of dead ones.
func plan(d demand) int {
	if d.paused {
		return 0
	}
	short := d.min - d.ready - d.starting
	unserved := max(0, d.waiting-d.starting*d.places)
	need := max(short, (unserved+d.places-1)/d.places)
	return max(0, min(need, d.stopped, maxStarts-d.starting))
}
