package process

import (
	"context"
	"io"
	"log/slog"
)

// feedChunk is how much is read at once from a source that is attached.
const feedChunk = 16 << 10

// attach makes src the source of what is queued.
func (in *input) attach(src io.Reader, log *slog.Logger) error {
	closer, _ := src.(io.Closer)
	if err := in.adopt(src); err != nil {
		if err != ErrAttached && closer != nil {
			_ = closer.Close() // told to stop before it has begun
		}
		return err
	}
	fed := make(chan struct{})
	// Ends at the end of src. When nothing more is queued, it ends with the Read under way.
	go in.feed(src, fed, log)
	if closer != nil {
		// Ends with the goroutine above, or when src has been told to stop.
		go in.stopSource(closer, fed)
	}
	return nil
}

func (in *input) adopt(src io.Reader) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.refusal != nil:
		return notQueued(in.refusal)
	case in.source != nil:
		return ErrAttached
	}
	in.source = src
	return nil
}

func (in *input) feed(src io.Reader, fed chan<- struct{}, log *slog.Logger) {
	ended, err := in.pull(src)
	if ended {
		close(fed)
	}
	if err != nil {
		log.Error("attached source failed", slog.Any("err", err))
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.source = nil
}

// pull reads src as there is room. It tells whether src has ended, with an error or without; if not, nothing more is queued.
func (in *input) pull(src io.Reader) (ended bool, err error) {
	chunk := make([]byte, feedChunk)
	for {
		if in.put(context.Background(), nil) != nil {
			return false, nil
		}
		n, err := src.Read(chunk)
		if _, err := in.write(context.Background(), chunk[:n]); err != nil {
			return false, nil
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return true, err
		}
	}
}

// stopSource tells a source that has not ended to stop when nothing more is queued.
func (in *input) stopSource(src io.Closer, fed <-chan struct{}) {
	select {
	case <-fed:
	case <-in.refused:
		if !isClosed(fed) {
			_ = src.Close() // it ends, whatever it says
		}
	}
}
