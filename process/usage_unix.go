//go:build linux || darwin

package process

import "golang.org/x/sys/unix"

// peakResident returns the most resident memory that this program has had, in bytes.
func peakResident() int64 {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage) // cannot fail
	return peakOf(usage)
}

// peakAbove returns a child's peak, or 0 if it is not known. A child begins its life in this program's memory, and the kernel counts that as its
// own: what it tells says something about the child only if it is clearly more than this program has had.
func peakAbove(floor int64, usage unix.Rusage) int64 {
	const blur = 8 // the kernel's counts are off by a little
	peak := peakOf(usage)
	if peak <= floor+floor/blur {
		return 0
	}
	return peak
}

func peakOf(usage unix.Rusage) int64 { return int64(usage.Maxrss) * rssUnit }
