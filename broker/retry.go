package broker

import (
	"errors"
	"sync/atomic"

	"github.com/stdcrew/stdcrew/pool"
	"github.com/stdcrew/stdcrew/rpc"
)

const (
	// maxUnsent bounds the repetitions of a call that may not be executed twice. Each attempt was lost before it reached a worker's program.
	maxUnsent = 3
	// maxIdempotent bounds the repetitions of one that may: its workers are stopped in the middle of it again and again, for other reasons than that
	// it crashes them.
	maxIdempotent = 10
)

// mayRetry decides whether a failed call is repeated: only where a worker was lost, and only if it was certainly not executed or may be
// executed twice. A pool that has no worker to offer is the caller's to wait for: repeating at once would be a busy loop.
func (p *Pool) mayRetry(err error, attempt int, idempotent bool) bool {
	var e *Error
	if !errors.As(err, &e) || e.Class != pool.ClassInterrupted || errors.Is(err, ErrCallTimeout) {
		return false
	}
	if e.Delivery == rpc.NotSent && attempt <= maxUnsent {
		return true
	}
	return idempotent && attempt <= maxIdempotent && p.budget.spend()
}

// budget keeps repetitions from multiplying a failure that all calls share, in the way of gRPC's retry throttling (proposal A6): each
// repetition takes a token, ten successes give one back, and there are never more than 100.
type budget struct{ tenths atomic.Int64 }

const (
	budgetTokens = 100
	perToken     = 10 // successes
)

func newBudget() *budget {
	b := new(budget)
	b.tenths.Store(budgetTokens * perToken)
	return b
}

// spend takes a token, if there is one.
func (b *budget) spend() bool {
	for {
		n := b.tenths.Load()
		if n < perToken {
			return false
		}
		if b.tenths.CompareAndSwap(n, n-perToken) {
			return true
		}
	}
}

// succeeded gives a tenth of a token back. A full budget, the ordinary case, is only looked at.
func (b *budget) succeeded() {
	if n := b.tenths.Load(); n < budgetTokens*perToken {
		b.tenths.CompareAndSwap(n, n+1) // losing the race to another success costs a tenth
	}
}
