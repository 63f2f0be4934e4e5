package pool

import "time"

// jitter is the part of a delay by which it is drawn longer or shorter, so that pools that failed together do not try again together.
const jitter = 0.1

// backoff calculates delays: the first is min, each further one twice the one before, up to max, all with jitter.
type backoff struct {
	min, max time.Duration
	random   func() float64 // in [0, 1)
	last     time.Duration  // without jitter; 0: none yet
}

func (b *backoff) next() time.Duration {
	switch {
	case b.last == 0:
		b.last = b.min
	case b.last > b.max/2:
		b.last = b.max
	default:
		b.last *= 2
	}
	return b.last + time.Duration(float64(b.last)*jitter*(2*b.random()-1))
}

func (b *backoff) reset() { b.last = 0 }
