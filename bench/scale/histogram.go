package main

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts times, each with an error of less than 1/64 but for the largest, which is exact. It takes the same few KiB for any number of them: a slice
// of millions would make the heap so large that hardly any garbage is collected, and the times look better than they are. It is ready for
// use, by any goroutines at once; what is read is of those added before.
type histogram struct {
	counts  [(64 - fineBits) << fineBits]atomic.Uint64
	longest atomic.Int64
}

// fineBits is how many bits of a time are kept behind its highest.
const fineBits = 6

// add counts a time; less than nothing is nothing.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))].Add(1)
	for {
		was := h.longest.Load()
		if int64(d) <= was || h.longest.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}

// bucket returns where a number is counted: those below 2^fineBits one by one, then as many buckets for each doubling.
func bucket(n uint64) int {
	shift := max(bits.Len64(n)-fineBits-1, 0)
	return shift<<fineBits + int(n>>shift)
}

// largest is the largest number that a bucket counts.
func largest(bucket int) uint64 {
	shift := max(bucket>>fineBits-1, 0)
	return uint64(bucket-shift<<fineBits+1)<<shift - 1
}

func (h *histogram) count() (n int) {
	for i := range h.counts {
		n += int(h.counts[i].Load())
	}
	return n
}

// quantile returns the smallest time that a share q of them does not exceed, or up to 1/64 more; 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	const rounding = 1e-6 // a share that is computed is hardly ever exact
	rank := uint64(max(math.Ceil(q*float64(h.count())-rounding), 1))
	var n uint64
	for i := range h.counts {
		if n += h.counts[i].Load(); n >= rank {
			return min(time.Duration(largest(i)), time.Duration(h.longest.Load()))
		}
	}
	return 0
}
