package process

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// oomWatch notices that the system kills processes for lack of memory. The kernel tells how many it has killed, not whom.
type oomWatch struct {
	read func() (uint64, bool) // how many so far

	mu     sync.Mutex
	last   uint64
	lastAt time.Time // zero: never read
	roseAt time.Time // when it was last seen to be more than before
}

var systemOOM = &oomWatch{read: oomKills}

// oomKills counts those of this program's own control group where that can be read, which in a container is the container; else those of the
// whole machine (Linux 4.13).
func oomKills() (uint64, bool) {
	if file := ownEvents(); file != "" {
		return oomKillsIn(file)
	}
	return oomKillsIn("/proc/vmstat")
}

// ownEvents is the file with the events of this program's own control group, or empty.
var ownEvents = sync.OnceValue(func() string {
	mount, own := cgroupPlace(readFile("/proc/self/mountinfo"), readFile("/proc/self/cgroup"))
	if mount == "" {
		return ""
	}
	file := mount + "/" + own + "/memory.events"
	if _, ok := oomKillsIn(file); !ok {
		return ""
	}
	return file
})

// oomKillsIn reads one of the kernel's files that have a name and a number a line.
func oomKillsIn(path string) (uint64, bool) {
	for line := range strings.Lines(readFile(path)) {
		if text, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

const (
	// oomPause is how long a reading is good enough as the one before the next death.
	oomPause = time.Second
	// oomEcho is how long after the count has risen a death is put down to it: several processes may be killed at a time.
	oomEcho = 5 * time.Second
)

// look reads the count, so that the next death has something to be compared with.
func (w *oomWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lastAt.IsZero() || time.Since(w.lastAt) >= oomPause {
		w.update()
	}
}

// suspect tells whether a process that has just been killed by somebody else is likely to have been killed for lack of memory.
func (w *oomWatch) suspect() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.update()
	return !w.roseAt.IsZero() && time.Since(w.roseAt) < oomEcho
}

// update is called with mu held, across a read of what the kernel has in memory.
func (w *oomWatch) update() {
	n, ok := w.read()
	if !ok {
		return
	}
	now := time.Now()
	if !w.lastAt.IsZero() && n > w.last {
		w.roseAt = now
	}
	w.last, w.lastAt = n, now
}
