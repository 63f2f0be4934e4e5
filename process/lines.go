package process

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"time"
)

const (
	// maxLine is how much of a line is logged. The rest is dropped, up to the line's end.
	maxLine = 8 << 10

	// maxLineRate is how many lines a second are logged. The others are counted, so that a process that floods its standard error does not
	// flood the log.
	maxLineRate = 1000
)

// cutMark ends a line that was cut.
const cutMark = " … (cut)"

// lineLogger splits text into lines and logs each. Blank lines are left out.
type lineLogger struct {
	log  *slog.Logger
	line []byte // the line that has begun, at most maxLine of it
	cut  bool   // more of it has been dropped

	second  time.Time // when the second began that logged is counted in
	logged  int
	dropped int // lines not logged since
}

func (l *lineLogger) write(text []byte) {
	for len(text) > 0 {
		piece, rest, complete := bytes.Cut(text, []byte{'\n'})
		l.add(piece)
		if complete {
			l.end()
		}
		text = rest
	}
}

func (l *lineLogger) add(piece []byte) {
	if room := maxLine - len(l.line); len(piece) > room {
		piece = piece[:room]
		l.cut = true
	}
	l.line = append(l.line, piece...)
}

func (l *lineLogger) end() {
	text := strings.ToValidUTF8(string(bytes.TrimSuffix(l.line, []byte{'\r'})), "\uFFFD")
	if l.cut {
		text += cutMark
	}
	if cap(l.line) > stderrChunk {
		l.line = nil // long lines are rare, and processes live long
	}
	l.line, l.cut = l.line[:0], false
	if text != "" && l.mayLog() {
		l.emit("stderr", slog.String("line", text))
	}
}

// flush logs the line that has begun, and how many were dropped.
func (l *lineLogger) flush() {
	l.end()
	l.reportDropped()
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
