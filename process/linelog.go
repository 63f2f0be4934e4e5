package process

import (
	"context"
	"log/slog"
	"time"
)

// maxLineRate is how many lines a second are logged. The others are counted, so that a process that floods its standard error does not
// flood the log.
const maxLineRate = 1000

// lineLogger logs each line of a text. Blank lines are left out.
type lineLogger struct {
	log   *slog.Logger
	lines Lines

	second  time.Time // when the second began that logged is counted in
	logged  int
	dropped int // lines not logged since
}

func newLineLogger(log *slog.Logger) *lineLogger {
	l := &lineLogger{log: log}
	l.lines.Emit = l.line
	return l
}

func (l *lineLogger) write(text []byte) {
	if l.log.Enabled(context.Background(), slog.LevelInfo) {
		_, _ = l.lines.Write(text) // it has no error
	}
}

// flush logs the line that has begun, and how many were dropped.
func (l *lineLogger) flush() {
	l.lines.Flush()
	l.reportDropped()
}

func (l *lineLogger) line(text string) {
	if text != "" && l.mayLog() {
		l.emit("stderr", slog.String("line", text))
	}
}

// mayLog counts a line, and tells whether it is within maxLineRate.
func (l *lineLogger) mayLog() bool {
	if now := time.Now(); now.Sub(l.second) >= time.Second {
		l.reportDropped()
		l.second, l.logged = now, 0
	}
	if l.logged >= maxLineRate {
		l.dropped++
		return false
	}
	l.logged++
	return true
}

func (l *lineLogger) reportDropped() {
	if l.dropped > 0 {
		l.emit("stderr lines not logged", slog.Int("lines", l.dropped))
		l.dropped = 0
	}
}

func (l *lineLogger) emit(message string, attr slog.Attr) {
	l.log.LogAttrs(context.Background(), slog.LevelInfo, message, attr)
}
