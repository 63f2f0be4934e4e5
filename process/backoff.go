package process

import (
	"math/rand/v2"
	"time"
)

// Backoff calculates how long to wait before the next start of a program whose starts fail: first Min, then twice as long each time, up to
// Max. Whoever restarts programs decides what counts as a failure, and what as the proof of health that calls for a Reset. The zero Backoff never waits. It is
// not for use by several goroutines at once.
type Backoff struct {
	Min, Max time.Duration

	// Jitter is the part of a delay by which it is drawn longer or shorter, from 0 to 1, so that programs that failed together are not started
	// together again. It may take a delay beyond Max.
	Jitter float64

	// Random returns numbers in [0, 1) for the jitter. If nil, it is math/rand's.
	Random func() float64

	last time.Duration // without jitter; 0: none yet
}

// Next returns the next delay.
func (b *Backoff) Next() time.Duration {
	switch {
	case b.last == 0:
		b.last = b.Min
	case b.last > b.Max/2:
		b.last = b.Max
	default:
		b.last *= 2
	}
	return b.last + b.jitter()
}

// Last returns the delay that Next returned last, without its jitter, or 0 if there has been none since the Reset.
func (b *Backoff) Last() time.Duration { return b.last }

// Reset makes the next delay Min.
func (b *Backoff) Reset() { b.last = 0 }

func (b *Backoff) jitter() time.Duration {
	if b.Jitter == 0 {
		return 0
	}
	random := b.Random
	if random == nil {
		random = rand.Float64
	}
	return time.Duration(float64(b.last) * b.Jitter * (2*random() - 1))
}
