package process

import (
	"log/slog"
	"sync"
	"time"
)

// memoryWatch ends processes that are over their memory limit. It is one goroutine for all of them, and none while there is nothing to watch.
type memoryWatch struct {
	mu     sync.Mutex
	limits map[*Process]int64
	awake  bool // the goroutine is there
}

var memoryLimits = memoryWatch{limits: map[*Process]int64{}}

// memoryPeriod is the time between two looks. With very many processes it is longer: see lookShare.
const memoryPeriod = 250 * time.Millisecond

// add watches a process until it has exited.
func (w *memoryWatch) add(p *Process, limit int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limits[p] = limit
	if !w.awake {
		w.awake = true
		// Ends with the first look that finds nothing to watch.
		go w.run()
	}
}

func (w *memoryWatch) run() {
	for pause := memoryPeriod; ; {
		time.Sleep(pause)
		begun := time.Now()
		watched := w.watched()
		if watched == nil {
			return
		}
		for p, limit := range watched {
			if w.check(p, limit) {
				w.forget(p)
			}
		}
		pause = max(memoryPeriod, lookShare*time.Since(begun))
	}
}

// watched forgets those that have exited, and returns a copy of what is left. If nothing is, the watch is over.
func (w *memoryWatch) watched() map[*Process]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := make(map[*Process]int64, len(w.limits))
	for p, limit := range w.limits {
		if isClosed(p.exited) {
			delete(w.limits, p)
			continue
		}
		left[p] = limit
	}
	if len(left) == 0 {
		w.awake = false
		return nil
	}
	return left
}

func (w *memoryWatch) forget(p *Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.limits, p)
}

// check kills a process that is over its limit, and tells whether it has. The quick look finds too much at times, never too little.
func (w *memoryWatch) check(p *Process, limit int64) (killed bool) {
	pid := p.PID()
	if sum, err := residentOf(pid); err != nil || sum <= limit {
		return false
	}
	resident := exactResidentOf(pid)
	if resident <= limit || isClosed(p.exited) { // then the pid may be somebody else's
		return false
	}
	p.Blame(KillerMemory)
	if err := p.Do(Kill); err != nil {
		return false // it has exited, or the next look tries again
	}
	p.log.Warn("killed: over its memory limit", slog.Int64("resident", resident), slog.Int64("limit", limit))
	return true
}
