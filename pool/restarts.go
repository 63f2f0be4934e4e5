package pool

import (
	"time"

	"github.com/stdcrew/stdcrew/process"
)

const (
	// maxBootFailures in a row, without a live worker, are a crash loop.
	maxBootFailures = 3
	// provenAfter is how long a worker has to be ready to count as healthy without having answered a call.
	provenAfter = time.Minute
	// jitter is the part of a delay by which it is drawn longer or shorter, so that pools that failed together do not try again together.
	jitter = 0.1
)

// restarts knows when a pool may start processes again after some have failed. It is pure, and guarded by the pool's mutex. Times are
// those of the pool's own clock.
type restarts struct {
	backoff  process.Backoff
	failures int           // boot failures in a row
	fatal    bool          // the last one cannot be cured by trying again
	last     error         // the last one
	failedAt time.Duration // when the last delay began
	until    time.Duration // no start before this; 0: none is delayed
	delays   int           // begun since the last proof of health
	looping  bool          // in a crash loop: until a worker is ready, processes are started one at a time
}

// bootFailed takes note of a process that was launched at the given time and did not become ready. Like died it tells whether a delay has begun.
func (r *restarts) bootFailed(now, launched time.Duration, err error, fatal bool) (delayed bool) {
	r.failures++
	r.fatal = fatal
	r.last = err
	return r.delay(now, launched)
}

// died takes note of the end, without our wish, of a worker that had been ready. After proof of its health it is replaced at once.
func (r *restarts) died(now, launched time.Duration, healthy bool) (delayed bool) {
	if healthy {
		r.proved()
		return false
	}
	return r.delay(now, launched)
}

// delay puts the next start off. Processes launched before the delay under way belong to the failure that it is for: of several that
// were started together, only the first makes the delay grow.
func (r *restarts) delay(now, launched time.Duration) bool {
	if r.until != 0 && launched <= r.failedAt {
		return false
	}
	r.failedAt = now
	r.until = now + r.backoff.Next()
	r.delays++
	return true
}

// judge takes note of whether any worker is ready or starting. If none is, and starting them has failed often enough or cannot succeed, a crash
// loop begins; it takes a worker that is ready to end it.
func (r *restarts) judge(live bool) {
	if !live && (r.fatal || r.failures >= maxBootFailures) {
		r.looping = true
	}
}

// created takes note of a worker that has become ready: boot failures are no longer in a row. The delay stays, it takes proof of health.
func (r *restarts) created() {
	r.failures, r.fatal, r.last, r.looping = 0, false, nil, false
}

// proved takes note of a proof of health: a worker answered a call, or was ready for provenAfter.
func (r *restarts) proved() {
	r.created()
	r.backoff.Reset()
	r.failedAt, r.until, r.delays = 0, 0, 0
}

// waits says how long from now no process may be started.
func (r *restarts) waits(now time.Duration) time.Duration { return max(0, r.until-now) }

// hopeless says that callers who find no live worker are failed with the last boot error instead of waiting for the next attempt.
func (r *restarts) hopeless(now time.Duration) bool { return r.looping && r.waits(now) > 0 }
