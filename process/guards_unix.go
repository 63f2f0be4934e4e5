//go:build linux || darwin

package process

import (
	"slices"
	"sync"
	"time"
)

// guards is the table of the process groups that do not survive this program.
var guards = guardTable{shell: guardianShell, pause: guardPause}

// guardTable keeps a guardian as long as there is something to guard, and tells it each change.
//
// A group's number may belong to a stranger once the group's leader has been reaped. So a group enters the table after its leader was forked
// and leaves it before its leader is reaped. The guardian hears of both in this order, and acts only after it has read everything; and one
// that cannot be told that a group has left is killed before the leader is reaped. What remains is the time from this program's death
// until the guardian has acted, some milliseconds, in which init may reap a leader that dies too: the kernel gives out numbers in a circle,
// so the number would have to come round in that time.
type guardTable struct {
	shell string        // that plays the guardian
	pause time.Duration // guardPause

	mu       sync.Mutex // no system call made under it can block
	count    int        // processes that are guarded or being started
	slots    []int      // the groups; 0 is a free slot
	free     []int      // the free slots
	guardian *guardian  // knows slots; nil if there is none now

	keeping bool          // keep runs
	tried   chan struct{} // closed when there is a guardian, or when it is known that there is none; nil before the first
}

// guardPause is how long there is no further guardian when one has died, or could not be started, sooner than that.
const guardPause = time.Second

// guardPlace is one process's place in the table. A nil *guardPlace is that of a process that is not guarded.
type guardPlace struct {
	table *guardTable
	slot  int  // -1 before add
	alone bool // there was no guardian when the place was reserved
	left  bool
}

// reserve returns a place for a process that is about to be started. It blocks while a guardian is being started.
func (t *guardTable) reserve() *guardPlace {
	t.mu.Lock()
	t.count++
	if !t.keeping {
		t.keeping = true
		t.tried = make(chan struct{})
		// Ends when the table is empty, guardPause later at the latest.
		go t.keep()
	}
	tried := t.tried
	t.mu.Unlock()

	<-tried
	t.mu.Lock()
	defer t.mu.Unlock()
	return &guardPlace{table: t, slot: -1, alone: t.guardian == nil}
}

// add enters a process that has just been forked.
func (g *guardPlace) add(pid int) {
	if g == nil {
		return
	}
	t := g.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := len(t.free) - 1; last >= 0 {
		g.slot, t.free = t.free[last], t.free[:last]
	} else {
		g.slot, t.slots = len(t.slots), append(t.slots, 0)
	}
	t.set(g.slot, pid)
}

// leave gives the place back. The leader has not been reaped yet. A second time it does nothing.
func (g *guardPlace) leave() {
	if g == nil {
		return
	}
	t := g.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if g.left {
		return
	}
	g.left = true
	if g.slot >= 0 {
		t.free = append(t.free, g.slot)
		t.set(g.slot, 0)
	}
	t.count--
	if t.count > 0 {
		return
	}
	t.slots, t.free = nil, nil
	if t.guardian != nil {
		t.guardian.end()
		t.guardian = nil
		t.tried = make(chan struct{}) // whoever comes now waits for the next one
	}
}

// set changes a slot. The caller holds mu.
func (t *guardTable) set(slot, group int) {
	t.slots[slot] = group
	if t.guardian != nil && !t.guardian.tell(guardianLine(slot, group, len(t.slots))) {
		t.guardian.end()
		t.guardian = nil
	}
}

// keep sees to it that there is a guardian until the table is empty.
func (t *guardTable) keep() {
	for {
		begun := time.Now()
		if g := t.launch(); g != nil {
			g.bury()
			t.lose(g)
		}
		if !t.proceed(time.Since(begun) >= t.pause) {
			return
		}
	}
}

// launch starts a guardian and tells it what has changed meanwhile. It returns nil if none could be started.
func (t *guardTable) launch() *guardian {
	t.mu.Lock()
	told := slices.Clone(t.slots)
	t.mu.Unlock()
	g, err := startGuardian(t.shell, told)

	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.count == 0:
		if err != nil {
			return nil
		}
		g.end() // nobody waits for it any more
		return g
	case err == nil && g.tell(guardianArming(told, t.slots)):
		t.guardian = g
	case err == nil:
		g.end()
	default:
		g = nil
	}
	t.settle()
	return g
}

// settle lets those go on who wait for a guardian. The caller holds mu.
func (t *guardTable) settle() {
	if !isClosed(t.tried) {
		close(t.tried)
	}
}

// lose takes note of a guardian's death.
func (t *guardTable) lose(g *guardian) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.guardian == g {
		t.guardian = nil
	}
}

// proceed tells whether another guardian is needed, and waits before it is if the last one had no long life. One that was ended because there
// was nothing to guard does not count.
func (t *guardTable) proceed(lived bool) bool {
	if t.pauseNeeded(lived) {
		time.Sleep(t.pause)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == 0 {
		t.keeping = false
		return false
	}
	if isClosed(t.tried) {
		t.tried = make(chan struct{})
	}
	return true
}

func (t *guardTable) pauseNeeded(lived bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !lived && t.count > 0 && isClosed(t.tried)
}
