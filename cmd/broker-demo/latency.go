package main

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	longestLatency = time.Hour // what takes longer counts as this
	latencyDigits  = 3         // of a latency that are kept
	maxHistograms  = 16        // each takes a quarter of a megabyte
)

// latencies records how long calls take. Callers share a few histograms, so
// that they seldom wait for each other.
type latencies struct{ shares []latencyShare }

type latencyShare struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram
}

func newLatencies(callers int) *latencies {
	l := &latencies{shares: make([]latencyShare, min(callers, maxHistograms))}
	for i := range l.shares {
		l.shares[i].histogram = newHistogram()
	}
	return l
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(longestLatency), latencyDigits)
}

// record notes what a call of this caller took.
func (l *latencies) record(caller int, took time.Duration) {
	share := &l.shares[caller%len(l.shares)]
	share.mu.Lock()
	defer share.mu.Unlock()
	_ = share.histogram.RecordValue(int64(min(max(took, 0), longestLatency))) // fails for values out of range only
}

// total returns all that has been recorded, as one histogram in nanoseconds.
func (l *latencies) total() *hdrhistogram.Histogram {
	all := newHistogram()
	for i := range l.shares {
		share := &l.shares[i]
		share.mu.Lock()
		all.Merge(share.histogram)
		share.mu.Unlock()
	}
	return all
}
