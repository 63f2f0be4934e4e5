package handlers

import (
	"context"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/worker"
)

// Echo returns a function that registers echo and sleep.
//
//   - echo answers with its argument, which may be any value and is not decoded, after
//     delay. It ends early, with the context's error, when its call is canceled.
//   - sleep takes a whole number of milliseconds, answers with it when they
//     are over, and ends early likewise.
func Echo(delay time.Duration) func(*worker.Worker) {
	return func(w *worker.Worker) {
		worker.Handle(w, "echo", func(ctx context.Context, in msgpack.RawMessage) (msgpack.RawMessage, error) {
			if err := pause(ctx, delay); err != nil {
				return nil, err
			}
			return in, nil
		})
		worker.Handle(w, "sleep", sleep)
	}
}

func sleep(ctx context.Context, ms int) (int, error) {
	return ms, pause(ctx, time.Duration(ms)*time.Millisecond)
}

// pause returns nil after d, or the context's error as soon as ctx ends. If d
// is not positive it returns nil at once, without a timer.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
