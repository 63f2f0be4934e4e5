package worker

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
)

// Serve answers the calls that come from in on out, and returns when that is over: nil at the end of in, ctx's error when ctx ends, otherwise
// what was wrong. The contexts of handlers that still run end then, and Serve waits for them up to ExitGrace. in and out are closed if they
// have a Close method. If in has none, or its Close does not end a Read, the last Read is left behind.
//
// Serve leaves the process's own standard streams alone. It may be called several times, also at the same time.
func (w *Worker) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	c := w.connection(&pairStream{in: in, out: out})
	defer c.close()
	return c.serve(ctx)
}

// pairStream is a reader and a writer as one stream. Once closed it uses neither again, whether they could be closed or not.
type pairStream struct {
	in     io.Reader
	out    io.Writer
	closed atomic.Bool
}

func (s *pairStream) Read(p []byte) (int, error) {
	if s.closed.Load() {
		return 0, os.ErrClosed
	}
	return s.in.Read(p)
}

func (s *pairStream) Write(p []byte) (int, error) {
	if s.closed.Load() {
		return 0, os.ErrClosed
	}
	return s.out.Write(p)
}

// CloseWrite closes the writer, if that can be done.
func (s *pairStream) CloseWrite() error {
	return closeEnd(s.out)
}

// Close closes what can be closed.
func (s *pairStream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return errors.Join(closeEnd(s.out), closeEnd(s.in))
}

func closeEnd(end any) error {
	if c, ok := end.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
