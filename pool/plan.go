package pool

// maxStarts bounds the processes that a pool starts at a time: a storm of starts makes all of them slow.
const maxStarts = 4

// census counts a pool's slots. It is counted afresh after every change of a slot, never kept by adding and subtracting.
type census struct {
	stopped  int
	starting int // and not to be stopped at once
	ready    int // and taking calls
	leaving  int // neither: retiring, on the ladder, or waiting to be
	trial    int // starting on trial for a reload: of no use before that is known to have worked
	due      int // of those that are ready: to be replaced
}

// live says that some worker answers calls, or may soon.
func (c census) live() bool { return c.starting+c.ready > 0 }

// processes is how many slots have one.
func (c census) processes() int { return c.starting + c.ready + c.leaving + c.trial }

// demand is what a pool's need of workers depends on.
type demand struct {
	census
	waiting  int // callers
	places   int // that one more worker is expected to have, at least 1
	min, max int
	surge    int  // processes beyond max while workers are replaced
	owed     int  // workers that were retired with no successor ready, for want of room
	paused   bool // backing off or stopping
	looping  bool // in a crash loop
}

// plan returns how many stopped slots to start now. It is the one place that decides this: for the first process, for more of them,
// for replacements of dead ones and for successors.
func plan(d demand) int {
	if d.paused {
		return 0
	}
	short := d.min - d.ready - d.starting
	unserved := max(0, d.waiting-d.starting*d.places)
	need := max(short, (unserved+d.places-1)/d.places, d.successors()-d.starting, d.owed-d.starting)
	return max(0, min(need, d.room(), d.stopped, d.atOnce()-d.starting))
}

// atOnce bounds the processes that start at a time. In a crash loop the next one is a probe: others follow when it has become ready.
func (d demand) atOnce() int {
	if d.looping {
		return 1
	}
	return maxStarts
}

// successors is how many of the workers that are due are replaced at a time: all at once would make all of them new at once.
func (d demand) successors() int { return min(d.due, max(1, d.surge)) }

// room is how many more processes there may be.
func (d demand) room() int { return d.max + d.beyond() - d.processes() }

// beyond is how many processes there may be beyond max: successors, and the one on trial, which takes no place from anybody.
func (d demand) beyond() int { return max(min(d.due, d.surge), d.trial) }

// yields says that one of the workers that are due has to go before its successor comes: there is no room for both. The one on trial, if it
// works, is a successor.
func (d demand) yields() bool {
	return !d.paused && d.due > 0 && d.surge == 0 && d.room() <= 0 && d.starting+d.leaving+d.trial+d.owed == 0
}
