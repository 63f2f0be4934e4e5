package monitor

import (
	"context"
	"log/slog"
)

// logEvent writes down what has happened to a program. pid is 0 if it has no process.
func logEvent(log *slog.Logger, generation, pid int, w What) {
	level, message, attrs := slog.LevelInfo, w.String(), []slog.Attr{slog.Int("gen", generation)}
	if pid != 0 {
		attrs = append(attrs, slog.Int("pid", pid))
	}
	switch w := w.(type) {
	case Started:
		message = "started"
	case Ready:
		message = "ready"
		attrs = append(attrs, slog.Duration("after", w.After))
	case Exited:
		message = "exited"
		attrs = append(attrs, slog.String("reason", w.Report.String()))
	case BackingOff:
		message = "backing off"
		attrs = append(attrs, slog.Duration("delay", w.Delay), slog.Int("attempt", w.Attempt))
	case StartFailed:
		level, message = slog.LevelWarn, "not started"
		attrs = append(attrs, slog.Any("err", w.Err))
	case GaveUp:
		level, message = slog.LevelError, "given up"
		attrs = append(attrs, slog.Int("attempt", w.Attempts))
	}
	log.LogAttrs(context.Background(), level, message, attrs...)
}
