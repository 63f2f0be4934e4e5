package pool

import (
	"errors"
	"log/slog"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// onStuck deals with a worker that does not end a call which was canceled: it gets no further calls, so that the others can end, and is stopped
// when there are no others. It comes again whenever one of them has ended.
func (w *worker) onStuck() {
	stuck := stuckCalls(w.conn.InFlight())
	if len(stuck) == 0 {
		w.culprit = ""
		w.pool.change(func(*effects) { w.stuck = false })
		return
	}
	why := process.KillerCancel
	if errors.Is(stuck[0].Left, ErrCallTimeout) {
		why = process.KillerTimeout
	}
	if w.culprit == "" {
		w.culprit = stuck[0].Method
		w.log().Warn("worker does not end a canceled call", slog.String("method", w.culprit), slog.Duration("age", stuck[0].Age))
	}
	if !w.orders().retiring {
		w.post(event{kind: evRetire, why: why})
	}
	if w.orders().inFlight <= len(stuck) {
		w.post(event{kind: evKill, why: why, from: process.Terminate})
	}
}

func stuckCalls(all []rpc.InFlight) (stuck []rpc.InFlight) {
	for _, c := range all {
		if c.Stuck {
			stuck = append(stuck, c)
		}
	}
	return stuck
}
