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
	err := in.pull(src)
	in.mu.Lock()
	in.source = nil
	in.mu.Unlock()
	close(fed)
	if err != nil && !isClosed(in.refused) {
		log.Error("attached source failed", slog.Any("err", err))
	}
}

// pull reads src as there is room, and returns its error.
func (in *input) pull(src io.Reader) error {
	chunk := make([]byte, feedChunk)
	for {
		if err := in.put(context.Background(), nil); err != nil {
			return err
		}
		n, err := src.Read(chunk)
		if _, err := in.write(context.Background(), chunk[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// stopSource tells the source to stop when nothing more is queued. One that has come to its end already is left alone.
func (in *input) stopSource(src io.Closer, fed <-chan struct{}) {
	select {
	case <-fed:
	case <-in.refused:
		if !isClosed(fed) {
			_ = src.Close() // it ends, whatever it says
		}
	}
}
