package gauge

import (
	"runtime"
	"time"
)

// Load makes calls: here, or in another process that is told to.
type Load interface {
	// Run makes calls for so long, and returns how long it took until the last was answered.
	Run(length time.Duration) (took time.Duration, err error)
	// Times returns how long each call of the last Run took. They are good until the next.
	Times() ([]time.Duration, error)
	// CPU returns the CPU time that caller and workers have used so far.
	CPU() (time.Duration, error)
}

// Warmup is the share of a round that is spent before it, unmeasured.
const Warmup = 10 // one in so many

// Round measures one round, after a collection of garbage: nobody pays for another's.
func Round(l Load, length time.Duration) (Figures, error) {
	runtime.GC()
	if _, err := l.Run(length / Warmup); err != nil {
		return Figures{}, err
	}
	before, err := l.CPU()
	if err != nil {
		return Figures{}, err
	}
	took, err := l.Run(length)
	if err != nil {
		return Figures{}, err
	}
	after, err := l.CPU()
	if err != nil {
		return Figures{}, err
	}
	times, err := l.Times() // only now: to write them down costs CPU time that belongs to no call
	if err != nil {
		return Figures{}, err
	}
	f := Summarize(times, after-before)
	f.Rate = float64(len(times)) / took.Seconds()
	return f, nil
}
