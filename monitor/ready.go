package monitor

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// probeEvery is the time between two looks whether a program is ready.
const probeEvery = 100 * time.Millisecond

// fileMark is what a file looked like. The zero mark is that of no file.
type fileMark struct {
	info fs.FileInfo
}

func markOf(path string) fileMark {
	info, err := os.Stat(path)
	if err != nil {
		return fileMark{}
	}
	return fileMark{info: info}
}

// differs tells whether there is a file now that was not there, or looked different.
func (now fileMark) differs(from fileMark) bool {
	if now.info == nil || from.info == nil {
		return now.info != nil
	}
	return !os.SameFile(now.info, from.info) || !now.info.ModTime().Equal(from.info.ModTime()) || now.info.Size() != from.info.Size()
}

// look remembers what ReadyFile looks like before the start.
func (o *ProgramOptions) look(c process.Command) fileMark {
	if o.ReadyFile == "" {
		return fileMark{}
	}
	return markOf(o.readyFile(c))
}

func (o *ProgramOptions) readyFile(c process.Command) string {
	if filepath.IsAbs(o.ReadyFile) {
		return o.ReadyFile
	}
	return filepath.Join(c.Dir, o.ReadyFile)
}

// prober returns what finds out whether the program is ready, or nil if there is nothing to be found out that way. seen is what ReadyFile
// looked like before the start.
func (o *ProgramOptions) prober(c process.Command, seen fileMark) func(context.Context) error {
	if o.ReadyFile == "" {
		return o.ReadyProbe
	}
	path := o.readyFile(c)
	return func(context.Context) error {
		if markOf(path).differs(seen) {
			return nil
		}
		return fs.ErrNotExist
	}
}

// probe calls prober until it returns nil, and then success. The result calls it off, without waiting.
func (l *life) probe(prober func(context.Context) error, success func()) (stop func()) {
	if prober == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	before, probed := l.probed, make(chan struct{})
	l.probed = probed
	// Ends when the program is ready, or when cancel is called and the probe under way, or one of an earlier incarnation, has returned.
	go func() {
		defer close(probed)
		<-before
		if repeat(ctx, prober) {
			success()
		}
	}()
	return cancel
}

// repeat tells whether prober returned nil before ctx ended.
func repeat(ctx context.Context, prober func(context.Context) error) bool {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if prober(ctx) == nil {
			return ctx.Err() == nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return false
}
