package main

import (
	"context"
	"fmt"
	"time"
)

// stock is what a program holds of the system, as the system itself sees it.
type stock struct {
	processes   map[int]bool // by process id: children, dead ones too, and all that bear the mark
	descriptors int
	goroutines  int
	threads     int
}

// leaks is how much more of it there is than there should be.
type leaks struct{ processes, descriptors, goroutines, threads int64 }

// spareThreads is how many threads may have come beside those after the warm-up: the runtime starts one when others are blocked, and keeps it.
const spareThreads = 2

// since returns what there is more than before.
func (s stock) since(before stock) leaks {
	more := func(now, then int) int64 { return int64(max(0, now-then)) }
	l := leaks{
		descriptors: more(s.descriptors, before.descriptors),
		goroutines:  more(s.goroutines, before.goroutines),
		threads:     more(s.threads, before.threads+spareThreads),
	}
	for pid := range s.processes {
		if !before.processes[pid] {
			l.processes++
		}
	}
	return l
}

func (l leaks) String() string {
	return fmt.Sprintf("%s, %s, %s, %s", plural(int(l.processes), "process", "processes"), plural(int(l.descriptors), "descriptor", "descriptors"),
		plural(int(l.goroutines), "goroutine", "goroutines"), plural(int(l.threads), "thread", "threads"))
}

const (
	settleTime    = 5 * time.Second       // what is ending has to be gone
	betweenStocks = 50 * time.Millisecond // between two looks
)

// settledStock returns what there is when it changes no more.
func settledStock(ctx context.Context, mark string) (stock, error) {
	last, err := takeStock(mark)
	for deadline := time.Now().Add(settleTime); err == nil && time.Now().Before(deadline); {
		if err := pause(ctx, betweenStocks); err != nil {
			return last, err
		}
		var now stock
		if now, err = takeStock(mark); err == nil && now.since(last) == (leaks{}) && last.since(now) == (leaks{}) {
			return now, nil
		}
		last = now
	}
	return last, err
}

// leftovers returns what is left since before when nothing is, or when what is ending has had its time.
func leftovers(mark string, before stock) (leaks, error) {
	for deadline := time.Now().Add(settleTime); ; {
		now, err := takeStock(mark)
		left := now.since(before)
		if err != nil || left == (leaks{}) || time.Now().After(deadline) {
			return left, err
		}
		_ = pause(context.Background(), betweenStocks)
	}
}
