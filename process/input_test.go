package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// manageSettled starts f and waits until it is blocked. It is for synctest bubbles.
func manageSettled(f Func, o ManagedOptions) *Managed {
	m := ManageFunc(f, o)
	synctest.Wait()
	return m
}

// queued is how much waits for the standard input, without what is in its pipe.
func queued(m *Managed) int {
	m.input.mu.Lock()
	defer m.input.mu.Unlock()
	return m.input.queued
}

// fillPipe writes what the pipe to a process that does not read can hold.
func fillPipe(t *testing.T, m *Managed) {
	t.Helper()
	n, err := m.Write(t.Context(), make([]byte, memPipeSize))
	require.NoError(t, err)
	require.Equal(t, memPipeSize, n)
	synctest.Wait()
	require.Zero(t, queued(m))
}

// killed ends a process that takes no notice of anything else.
func killed(t *testing.T, m *Managed) Report {
	t.Helper()
	require.NoError(t, m.Do(Kill))
	return reportOf(m.Process)
}

// result is what a Write returned.
type result struct {
	n   int
	err error
}

func writing(ctx context.Context, m *Managed, p []byte) <-chan result {
	written := make(chan result, 1)
	go func() {
		n, err := m.Write(ctx, p)
		written <- result{n, err}
	}()
	return written
}

// reading is a process that reads n bytes when told to, and tells what they are.
func reading(orders <-chan int, read chan<- []byte) Func {
	return func(m *Memory) int {
		for n := range orders {
			p := make([]byte, n)
			n, err := io.ReadFull(m.Stdin, p)
			read <- p[:n]
			if err != nil {
				break
			}
		}
		return 0
	}
}

func TestL5_3_ExactlyAtTheMarkIsFine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders, read := make(chan int), make(chan []byte)
		m := manageSettled(reading(orders, read), ManagedOptions{})
		fillPipe(t, m)

		require.Equal(t, result{defaultHighWater - 1, nil}, <-writing(t.Context(), m, make([]byte, defaultHighWater-1)))
		require.Equal(t, result{1, nil}, <-writing(t.Context(), m, make([]byte, 1)), "below the mark")
		require.Equal(t, result{1, nil}, <-writing(t.Context(), m, make([]byte, 1)), "at the mark")
		waiting := writing(t.Context(), m, make([]byte, 1))
		synctest.Wait()
		require.Empty(t, waiting, "above the mark")
		require.Equal(t, defaultHighWater+1, queued(m))

		orders <- writePiece
		<-read
		require.Equal(t, result{1, nil}, <-waiting, "a piece has been delivered")
		close(orders)
		<-m.Ended()
	})
}

func TestL5_3_QueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mark, total = 1000, 1 << 20
		orders, read := make(chan int), make(chan []byte)
		m := manageSettled(reading(orders, read), ManagedOptions{HighWater: mark})
		var writers sync.WaitGroup
		for range 4 {
			writers.Go(func() {
				n, err := m.Write(t.Context(), make([]byte, total/4))
				require.Equal(t, result{total / 4, nil}, result{n, err})
			})
		}
		for range total / 4096 {
			synctest.Wait()
			require.LessOrEqual(t, queued(m), 2*mark)
			orders <- 4096
			<-read
		}
		writers.Wait()
		close(orders)
		<-m.Ended()
	})
}

func TestL5_3_AnIdleInputHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders, read := make(chan int), make(chan []byte)
		m := manageSettled(reading(orders, read), ManagedOptions{})
		for range 3 {
			fillPipe(t, m)
			for range 2 { // one is being delivered, one waits
				require.Equal(t, result{5, nil}, <-writing(t.Context(), m, []byte("hello")))
				synctest.Wait()
			}
			orders <- memPipeSize + 10
			require.Equal(t, "hellohello", string((<-read)[memPipeSize:]))
			synctest.Wait()
			require.False(t, m.input.delivering)
			require.Nil(t, m.input.queue)
			require.Zero(t, queued(m))
		}
		close(orders)
		<-m.Ended()
	})
}

func TestL5_3_WriteObeysItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders, read := make(chan int), make(chan []byte)
		m := manageSettled(reading(orders, read), ManagedOptions{HighWater: 100})
		fillPipe(t, m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		first := writing(ctx, m, bytes.Repeat([]byte("x"), 1000))
		synctest.Wait()
		inLine, cancelInLine := context.WithCancelCause(t.Context())
		second := writing(inLine, m, []byte("y"))
		synctest.Wait()

		cancelInLine(errors.New("no more patience"))
		r := <-second
		require.Zero(t, r.n)
		require.ErrorContains(t, r.err, "no more patience")
		r = <-first
		require.Equal(t, time.Second, time.Since(begun))
		require.Equal(t, 200, r.n, "what fits in pieces of the mark")
		require.ErrorIs(t, r.err, context.DeadlineExceeded)

		n, err := m.Write(ctx, nil)
		require.Zero(t, n)
		require.ErrorIs(t, err, context.DeadlineExceeded, "a context that is over writes nothing")
		require.NoError(t, m.CloseStdin())
		orders <- 2 * memPipeSize
		require.Equal(t, bytes.Repeat([]byte("x"), 200), (<-read)[memPipeSize:], "what was queued is delivered")
		<-m.Ended()
	})
}

// Not in a bubble, where the writer that came first is always the first to find room.
func TestL5_3_BytesOfOneWriteStayTogether(t *testing.T) {
	const writers, size = 8, 50_000
	var got collected
	o := got.options()
	o.HighWater = 10
	m := ManageFunc(copying, o)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() { <-writing(t.Context(), m, bytes.Repeat([]byte{byte('a' + i)}, size)) })
	}
	all.Wait()
	require.NoError(t, m.CloseStdin())
	<-m.Ended()
	out := []byte(got.stdout())
	require.Len(t, out, writers*size)
	for i := range writers {
		run := out[i*size : (i+1)*size]
		require.Equal(t, bytes.Repeat(run[:1], size), run)
	}
}

func TestL5_3_WritersWakeWhenNobodyReadsAnyMore(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(m *Managed) error
		want error
	}{
		"exit":   {func(m *Managed) error { return m.Do(Kill) }, ErrExited},
		"closed": {func(m *Managed) error { return m.CloseStdin() }, os.ErrClosed},
		"broken": {func(m *Managed) error { return m.child.(*memoryChild).stdin.Close() }, syscall.EPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := manageSettled(deaf, ManagedOptions{HighWater: 10})
				fillPipe(t, m)
				<-writing(t.Context(), m, []byte("x"))
				synctest.Wait() // it has been taken for delivery
				first, second := writing(t.Context(), m, make([]byte, 100)), writing(t.Context(), m, make([]byte, 100))
				synctest.Wait()
				require.NoError(t, c.end(m))
				for _, r := range []result{<-first, <-second} {
					require.Less(t, r.n, 100)
					if name != "exit" || !errors.Is(r.err, syscall.EPIPE) { // the pipe breaks a moment before the exit is known
						require.ErrorIs(t, r.err, c.want)
					}
				}
				_, err := m.Write(context.Background(), nil)
				require.Error(t, err)
				_ = m.Do(Kill)
				<-m.Ended()
				require.Zero(t, len(m.input.queue), "nothing is kept for nobody")
			})
		})
	}
}

func TestL5_5_WriteToOtherDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		m := ManageFunc(copying, got.options())
		for _, fd := range []int{1, 2, 3, -1} {
			n, err := m.WriteTo(t.Context(), fd, []byte("x"))
			require.Zero(t, n)
			var wrong *DescriptorError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, fd, wrong.FD)
		}
		n, err := m.WriteTo(t.Context(), 0, []byte("x"))
		require.Equal(t, result{1, nil}, result{n, err})
		require.NoError(t, m.CloseStdin())
		<-m.Ended()
		require.Equal(t, "x", got.stdout())
	})
}
