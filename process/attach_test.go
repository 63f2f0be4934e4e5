package process

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// producer is a source that never ends, and notes what it is told.
type producer struct {
	mu      sync.Mutex
	read    int
	stopped int
}

func (p *producer) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read += len(b)
	return len(b), nil
}

func (p *producer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped++
	return nil
}

func (p *producer) noted() (read, stopped int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read, p.stopped
}

func TestL5_3_SourceIsReadAsThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders, read := make(chan int), make(chan []byte)
		m := manageSettled(reading(orders, read), ManagedOptions{})
		var src producer
		require.NoError(t, m.Attach(&src))
		synctest.Wait()
		before, _ := src.noted()
		require.Equal(t, memPipeSize+defaultHighWater+feedChunk, before, "the pipe, the queue up to its mark, and one more")
		for range 10 {
			orders <- feedChunk
			<-read
			synctest.Wait()
			after, _ := src.noted()
			require.Equal(t, before+feedChunk, after, "it is asked again when there is room")
			before = after
		}
		close(orders)
		<-m.Ended()
		synctest.Wait()
		_, stopped := src.noted()
		require.Equal(t, 1, stopped, "the reader has died")
	})
}

func TestL5_3_SourceIsToldToStop(t *testing.T) {
	for name, end := range map[string]func(m *Managed) error{
		"closed": func(m *Managed) error { return m.CloseStdin() },
		"step":   func(m *Managed) error { return m.Do(CloseStdin) },
		"all":    func(m *Managed) error { return m.CloseAll() },
		"broken": func(m *Managed) error { return m.child.(*memoryChild).stdin.Close() },
		"killed": func(m *Managed) error { return m.Do(Kill) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := manageSettled(deaf, ManagedOptions{})
				var src producer
				require.NoError(t, m.Attach(&src))
				synctest.Wait()
				require.NoError(t, end(m))
				synctest.Wait()
				_, stopped := src.noted()
				require.Equal(t, 1, stopped)
				_ = m.Do(Kill)
				<-m.Ended()
				_, stopped = src.noted()
				require.Equal(t, 1, stopped, "once")
			})
		})
	}
}

func TestL5_3_SourceIsToldToStopWhileItIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manageSettled(deaf, ManagedOptions{})
		src, never := io.Pipe()
		require.NoError(t, m.Attach(src))
		synctest.Wait()
		killed(t, m)
		synctest.Wait()
		_, err := never.Write([]byte("x"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
}

func TestL5_4_OneSourceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		m := ManageFunc(copying, got.options())
		first, feed := io.Pipe()
		require.NoError(t, m.Attach(first))
		var second producer
		require.ErrorIs(t, m.Attach(&second), ErrAttached)
		_, stopped := second.noted()
		require.Zero(t, stopped, "it is the caller's still")

		io.WriteString(feed, "first ")
		synctest.Wait()
		_, err := m.Write(t.Context(), []byte("written "))
		require.NoError(t, err)
		feed.Close()
		synctest.Wait()
		require.NoError(t, m.Attach(iotest.OneByteReader(strings.NewReader("second"))), "after the end of the first")
		synctest.Wait()
		require.NoError(t, m.CloseStdin())
		<-m.Ended()
		require.Equal(t, "first written second", got.stdout())
	})
}

func TestL5_4_SourceOfAClosedInputIsStoppedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manageSettled(deaf, ManagedOptions{})
		require.NoError(t, m.CloseStdin())
		var src producer
		require.ErrorIs(t, m.Attach(&src), os.ErrClosed)
		read, stopped := src.noted()
		require.Zero(t, read)
		require.Equal(t, 1, stopped)
		require.ErrorIs(t, m.Attach(strings.NewReader("x")), os.ErrClosed, "one that cannot be told")
		killed(t, m)
	})
}

// closing is a source that has an end and notes whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestL5_3_SourceThatHasEndedIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logged
		m := manageSettled(deaf, ManagedOptions{Options: Options{Log: out.logger()}})
		ended, failed := &closing{Reader: strings.NewReader("x")}, &closing{Reader: iotest.ErrReader(errors.New("disk on fire"))}
		for _, src := range []*closing{ended, failed} {
			require.NoError(t, m.Attach(src))
			synctest.Wait()
		}
		killed(t, m)
		synctest.Wait()
		require.False(t, ended.closed)
		require.False(t, failed.closed)
		require.Len(t, out.lines(), 1)
		require.Contains(t, out.lines()[0], `level=ERROR msg="attached source failed"`)
		require.Contains(t, out.lines()[0], "disk on fire")
	})
}
