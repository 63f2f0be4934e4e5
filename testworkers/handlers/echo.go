package handlers

import (
	"context"
	"errors"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/worker"
)

// LedgerEchoInput is what the method ledger_echo of [Echo] takes.
type LedgerEchoInput struct {
	// Key names the call in the ledger, as a word without white space.
	Key string `msgpack:"key"`
	// Pass tells repeated runs over the same keys apart.
	Pass int `msgpack:"pass"`
	// Ledger is the absolute path of the ledger. If empty, nothing is written.
	Ledger string `msgpack:"ledger,omitempty"`
	// Body is the answer.
	Body []byte `msgpack:"body"`
}

// Echo returns a function that registers echo, ledger_echo and sleep.
//
//   - echo answers with its argument, which may be any value and is not decoded, after
//     delay. It ends early, with the context's error, when its call is canceled.
//   - ledger_echo takes a [LedgerEchoInput] and answers with its body, likewise. It writes the
//     call's begin and end to a ledger, for somebody who counts from outside how often it was executed.
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
		worker.Handle(w, "ledger_echo", func(ctx context.Context, in LedgerEchoInput) ([]byte, error) {
			return ledgerEcho(ctx, in, delay)
		})
		worker.Handle(w, "sleep", sleep)
	}
}

func ledgerEcho(ctx context.Context, in LedgerEchoInput, delay time.Duration) ([]byte, error) {
	l, err := beginLedger(in.Ledger, in.Pass, in.Key)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, delay); err != nil {
		return nil, errors.Join(err, l.close()) // a begin without an end: it was not executed to the end
	}
	return in.Body, l.end()
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
