package process

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"
)

// source is our end of the standard error. One goroutine reads; Interrupt may come from another.
type source interface {
	io.ReadCloser
	// TryRead reads what is there, also after Interrupt. When nothing is, its error is syscall.EAGAIN.
	TryRead(p []byte) (int, error)
	// Interrupt makes a Read under way, and later ones, return os.ErrDeadlineExceeded.
	Interrupt()
}

const (
	// stderrChunk is how much is read at once. Each process keeps that much for as long as it lives.
	stderrChunk = 4 << 10

	// lastBytes is how much is still read after the reading has been called off: what fits into the pipe. Beyond it somebody is still
	// writing, who was not the process.
	lastBytes = 64 << 10

	// lastRead is how long a reader that has been called off gets for it. Only a log handler that blocks takes longer.
	lastRead = 100 * time.Millisecond
)

// readStderr reads the standard error until it ends, or until it is called off.
func (p *Process) readStderr(src source) {
	defer close(p.drained)
	// From here on nobody reads: who still writes gets EPIPE, in place of a full pipe.
	defer src.Close()

	lines := &lineLogger{log: p.log}
	defer lines.flush()

	chunk := make([]byte, stderrChunk)
	for {
		n, err := src.Read(chunk)
		p.keep(lines, chunk[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.held = !p.readRest(src, lines, chunk)
			return
		}
		if err != nil {
			return
		}
	}
}

// readRest takes what is in the pipe, and tells whether that was the end.
func (p *Process) readRest(src source, lines *lineLogger, chunk []byte) bool {
	for rest := lastBytes; rest > 0; {
		n, err := src.TryRead(chunk)
		p.keep(lines, chunk[:n])
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		rest -= n
	}
	return false
}

func (p *Process) keep(lines *lineLogger, text []byte) {
	p.tail.write(text)
	if p.log.Enabled(context.Background(), slog.LevelInfo) {
		lines.write(text)
	}
}

// drain waits for the end of the standard error, and calls the reading off after DrainTimeout. It tells whether somebody held it open.
func (p *Process) drain(src source) (held bool) {
	defer p.tail.stop()
	if !closedWithin(p.drained, p.drainTimeout) {
		src.Interrupt()
		if !closedWithin(p.drained, lastRead) {
			return false
		}
	}
	return p.held
}
