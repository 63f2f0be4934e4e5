package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	barInterval  = 100 * time.Millisecond // between updates of the bar
	lineInterval = 2 * time.Second        // between plain lines
)

// progress shows how far a run is: as a bar on a terminal, otherwise as a
// plain line now and then. Notes printed through it never mix with the bar.
type progress struct {
	status func() string // a few words on the run, for the line's end
	unit   string        // what is counted, in the plural
	done   func() int64  // how many of them, in this pass

	terminal bool // out is one

	mu  sync.Mutex
	out io.Writer
	bar *progressbar.ProgressBar // of this pass, on a terminal; nil until its total is known

	stopped chan struct{}
	ticker  sync.WaitGroup
}

// startProgress begins to show; stop must be called.
func startProgress(out io.Writer, terminal bool, unit string, done func() int64, status func() string) *progress {
	p := &progress{status: status, unit: unit, done: done, terminal: terminal, out: out, stopped: make(chan struct{})}
	interval := lineInterval
	if terminal {
		interval = barInterval
	}
	// Ends at stop.
	p.ticker.Go(func() { p.tick(interval) })
	return p
}

func (p *progress) tick(interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.show()
		case <-p.stopped:
			return
		}
	}
}

func (p *progress) show() {
	done, status := p.done(), p.status()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.terminal:
		fmt.Fprintf(p.out, "%d %s, %s\n", done, p.unit, status)
	case p.bar != nil:
		p.bar.Describe(status)
		_ = p.bar.Set64(done) // an error of the display is no reason to stop the work
	}
}

// endless is the total of a pass that is over when time is.
const endless = -1

// setTotal begins the bar of a pass with so many units, or endless. A new one each
// time: a bar that has been full does not go back.
func (p *progress) setTotal(units int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.terminal || units == 0 {
		return
	}
	p.bar = progressbar.NewOptions64(units,
		progressbar.OptionSetWriter(p.out),
		progressbar.OptionSetItsString(p.unit),
		progressbar.OptionShowIts(),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetSpinnerChangeInterval(0), // the bar has no goroutine of its own, which would write beside ours and never end
	)
}

// note prints a line.
func (p *progress) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintf(p.out, format+"\n", args...)
}

// stop ends the display, takes the bar off the terminal and waits until nothing is written any more.
func (p *progress) stop() {
	close(p.stopped)
	p.ticker.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	p.bar = nil // what is noted from here on finds none
}

// countFiles returns how many files a walk of root finds.
func countFiles(ctx context.Context, root string) int64 {
	var files int64
	_ = walk(ctx, root, func(source) error { files++; return nil }, func(string, error) {}) // the walk itself reports errors
	return files
}
