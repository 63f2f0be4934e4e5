package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/broker"
)

// reloadEvery replaces all workers by fresh ones every d, until the function that it returns is called. A reload under way is finished then.
func (r *loadRun) reloadEvery(d time.Duration) (stop func()) {
	if d == 0 {
		return func() {}
	}
	stopped := make(chan struct{})
	var reloader sync.WaitGroup
	// Ends with stop, or when the user does not want to wait.
	reloader.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				r.reload(r.on.force)
			case <-stopped:
				return
			}
		}
	})
	return func() { close(stopped); reloader.Wait() }
}

// reload replaces all workers, and looks whether one of before is left.
func (r *loadRun) reload(ctx context.Context) {
	before := r.crew.processes()
	if err := r.crew.pool.Reload(ctx, broker.Command{}); err != nil {
		r.failed(err)
		return
	}
	for pid := range r.crew.processes() {
		if before[pid] {
			r.fail(fmt.Errorf("process %d is still there after a reload", pid))
			return
		}
	}
	r.reloads++
}

// processes returns the process ids of all workers, whatever they are doing.
func (c *crew) processes() map[int]bool {
	pids := map[int]bool{}
	for _, w := range c.pool.Snapshot().Workers {
		if w.PID != 0 {
			pids[w.PID] = true
		}
	}
	return pids
}
