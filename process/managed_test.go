package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// collected is what a process has written, and what became of its pipes.
type collected struct {
	mu       sync.Mutex
	out, err strings.Builder
	lost     [3][]error
}

func (c *collected) options() ManagedOptions {
	return ManagedOptions{
		Stdout: func(data []byte) { c.write(&c.out, data) },
		Stderr: func(data []byte) { c.write(&c.err, data) },
		Lost: func(fd int, err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.lost[fd] = append(c.lost[fd], err)
		},
	}
}

func (c *collected) write(to *strings.Builder, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to.Write(data)
}

func (c *collected) stdout() string { return c.read(&c.out) }
func (c *collected) stderr() string { return c.read(&c.err) }

func (c *collected) read(from *strings.Builder) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return from.String()
}

func (c *collected) losses(fd int) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lost[fd])
}

// copying copies its input to its output, and says so.
func copying(m *Memory) int {
	_, err := io.Copy(m.Stdout, m.Stdin)
	io.WriteString(m.Stderr, "copied")
	if err != nil {
		return 1
	}
	return 0
}

func TestManagedStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		m := ManageFunc(copying, got.options())
		require.Nil(t, m.Stream(), "the streams are not the caller's")
		n, err := m.Write(t.Context(), []byte("over "))
		require.NoError(t, err)
		require.Equal(t, 5, n)
		synctest.Wait()
		require.Equal(t, "over ", got.stdout())
		_, err = io.WriteString(m.Input(t.Context()), "and out")
		require.NoError(t, err)
		require.NoError(t, m.CloseStdin())
		<-m.Ended()
		require.True(t, m.Report().Success())
		require.Equal(t, "over and out", got.stdout())
		require.Equal(t, "copied", got.stderr())
		require.Equal(t, "copied", m.Report().StderrTail)
		require.Equal(t, [3][]error{{nil}, {nil}, {nil}}, got.lost)
		_, err = m.Write(context.Background(), []byte("x"))
		require.True(t, errors.Is(err, os.ErrClosed), err)
	})
}

// onInput is a process that does f when a byte has come, and then waits to be killed.
func onInput(f func(m *Memory)) Func {
	return func(m *Memory) int {
		_, _ = m.Stdin.Read(make([]byte, 1))
		f(m)
		return deaf(m)
	}
}

func TestL5_5_CloseStdinDeliversWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		text := strings.Repeat("0123456789", 10_000) // more than the pipe holds
		m := manageSettled(func(m *Memory) int {
			time.Sleep(time.Minute)
			return copying(m)
		}, got.options())
		_, err := m.Write(t.Context(), []byte(text))
		require.NoError(t, err)
		require.NoError(t, m.CloseStdin())
		require.NoError(t, m.CloseStdin(), "twice is no error")
		_, err = m.Write(t.Context(), []byte("x"))
		require.ErrorIs(t, err, os.ErrClosed)
		synctest.Wait()
		require.Empty(t, got.losses(0), "not delivered yet")
		<-m.Ended()
		require.Equal(t, text, got.stdout())
		require.Equal(t, []error{nil}, got.losses(0))
	})
}

func TestL5_5_ClosingAnOutputIsImmediate(t *testing.T) {
	for fd, stream := range map[int]struct {
		close func(m *Managed) error
		write func(m *Memory) (int, error)
	}{
		1: {(*Managed).CloseStdout, func(m *Memory) (int, error) { return m.Stdout.Write([]byte("late")) }},
		2: {(*Managed).CloseStderr, func(m *Memory) (int, error) { return m.Stderr.Write([]byte("late")) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			var got collected
			var wrote error
			m := manageSettled(onInput(func(m *Memory) { _, wrote = stream.write(m) }), got.options())
			require.NoError(t, stream.close(m))
			require.NoError(t, stream.close(m), "twice is no error")
			synctest.Wait()
			require.Equal(t, []error{nil}, got.losses(fd), "our own closing")
			require.Empty(t, got.losses(3-fd), "the other is untouched")
			_, err := m.Write(t.Context(), []byte("x"))
			require.NoError(t, err)
			synctest.Wait()
			require.ErrorIs(t, wrote, syscall.EPIPE)
			killed(t, m)
			require.Empty(t, got.stdout()+got.stderr())
			require.Equal(t, [3][]error{{nil}, {nil}, {nil}}, got.lost, "once each")
		})
	}
}

func TestL5_5_WhatAClosedOutputHeldIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		m := manageSettled(onInput(func(m *Memory) { io.WriteString(m.Stdout, "unseen") }), got.options())
		m.Pause()
		_, err := m.Write(t.Context(), []byte("x"))
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, m.CloseStdout())
		synctest.Wait()
		require.Equal(t, []error{nil}, got.losses(1), "it does not wait for the end of the pause")
		m.Resume()
		killed(t, m)
		require.Empty(t, got.stdout())
	})
}

func TestL5_5_CloseAllStillDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		read := make(chan []byte, 1)
		m := manageSettled(func(m *Memory) int {
			time.Sleep(time.Minute)
			p, _ := io.ReadAll(m.Stdin)
			read <- p
			_, err := m.Stdout.Write([]byte("x"))
			_, err2 := m.Stderr.Write([]byte("x"))
			if !errors.Is(err, syscall.EPIPE) || !errors.Is(err2, syscall.EPIPE) {
				return 1
			}
			return 0
		}, got.options())
		text := bytes.Repeat([]byte("x"), 2*memPipeSize)
		_, err := m.Write(t.Context(), text)
		require.NoError(t, err)
		require.NoError(t, m.CloseAll())
		require.NoError(t, m.CloseAll(), "twice is no error")
		require.Equal(t, text, <-read)
		require.True(t, reportOf(m.Process).Success())
		require.Equal(t, [3][]error{{nil}, {nil}, {nil}}, got.lost)
	})
}

func TestL5_6_PauseIsForReadingAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		read := make(chan []byte, 1)
		m := manageSettled(func(m *Memory) int {
			p, _ := io.ReadAll(m.Stdin)
			io.WriteString(m.Stdout, "out")
			io.WriteString(m.Stderr, "err")
			read <- p
			return 3
		}, got.options())
		m.Pause()
		m.Pause()
		_, err := m.Write(t.Context(), make([]byte, 2*memPipeSize))
		require.NoError(t, err)
		require.NoError(t, m.CloseStdin())
		require.Len(t, <-read, 2*memPipeSize, "writing goes on")
		<-m.Exited()
		require.Equal(t, 3, m.Report().Code, "the exit is noticed")
		time.Sleep(defaultDrainTimeout / 2)
		require.Empty(t, got.stdout()+got.stderr())
		require.False(t, isClosed(m.Ended()))
		begun := time.Now()
		m.Resume()
		<-m.Ended()
		require.Zero(t, time.Since(begun))
		require.Equal(t, "out err", got.stdout()+" "+got.stderr())
		require.False(t, m.Report().Held)
	})
}

func TestL5_6_PauseEndsWithTheDrain(t *testing.T) {
	for _, drain := range []time.Duration{time.Minute, -1} {
		synctest.Test(t, func(t *testing.T) {
			var got collected
			o := got.options()
			o.DrainTimeout = drain
			text := strings.Repeat("0123456789", memPipeSize/10)
			m := manageSettled(func(m *Memory) int {
				time.Sleep(time.Second)
				io.WriteString(m.Stdout, text)
				return 0
			}, o)
			m.Pause()
			<-m.Exited()
			begun := time.Now()
			<-m.Ended()
			require.Equal(t, max(drain, 0), time.Since(begun))
			require.Equal(t, text, got.stdout(), "nothing of it is lost")
			require.Equal(t, [3][]error{{nil}, {nil}, {nil}}, got.lost)
			require.False(t, m.Report().Held, "nobody held it")
		})
	}
}

func TestL5_6_PauseHoldsUpTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		const total = 1 << 20
		var written atomic.Int64
		m := manageSettled(func(m *Memory) int {
			time.Sleep(time.Second)
			for range total / 1024 {
				n, _ := m.Stdout.Write(make([]byte, 1024))
				written.Add(int64(n))
			}
			return 0
		}, got.options())
		m.Pause()
		time.Sleep(time.Hour)
		require.LessOrEqual(t, written.Load(), int64(memPipeSize+2*readChunk))
		require.False(t, isClosed(m.Exited()))
		m.Resume()
		<-m.Ended()
		require.Len(t, got.stdout(), total)
	})
}

// noting is a child that notes when it is released.
type noting struct {
	child
	noted atomic.Bool
}

func (n *noting) release() error {
	n.noted.Store(true)
	return nil
}

func TestL5_7_FunctionThatBlocksHoldsUpItsStreamAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		release := make(chan struct{})
		o := got.options()
		pass := o.Stdout
		o.Stdout = func(data []byte) {
			<-release
			pass(data)
		}
		s := startMemory(func(m *Memory) int {
			io.WriteString(m.Stdout, strings.Repeat("x", memPipeSize))
			io.WriteString(m.Stderr, "err")
			return 0
		})
		released := &noting{child: s.child}
		s.child = released
		m := newManaged(s, o)
		<-m.Exited()
		time.Sleep(time.Hour)
		require.Equal(t, "err", got.stderr())
		require.True(t, released.noted.Load(), "what it had of the system is given back")
		require.False(t, isClosed(m.Ended()), "it waits for the function")
		require.Empty(t, got.losses(1))
		close(release)
		<-m.Ended()
		require.Len(t, got.stdout(), memPipeSize)
		require.Equal(t, [3][]error{{nil}, {nil}, {nil}}, got.lost)
	})
}

// manageHeld starts f; somebody else has its outputs, and its input, and keeps them after its death.
func manageHeld(f Func, o ManagedOptions) (m *Managed, stdin, stdout, stderr *memPipe) {
	s := startMemory(f)
	stdin, stdout, stderr = newMemPipe(), newMemPipe(), newMemPipe()
	s.stdin, s.stdout, s.stderr = memWriter{stdin}, stdout, stderr
	return newManaged(s, o), stdin, stdout, stderr
}

func TestL5_7_P30_DrainIsBoundedForAllStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		o := got.options()
		o.DrainTimeout = time.Minute
		m, _, stdout, stderr := manageHeld(deaf, o)
		synctest.Wait()
		_, err := m.Write(t.Context(), make([]byte, 2*memPipeSize))
		require.NoError(t, err)
		stdout.Write([]byte("out"))
		stderr.Write([]byte("err"))
		require.NoError(t, m.Do(Kill))
		<-m.Exited()
		begun := time.Now()
		_, err = m.Write(t.Context(), []byte("x"))
		require.ErrorIs(t, err, ErrExited)
		time.Sleep(time.Minute - time.Nanosecond)
		stdout.Write([]byte(" late"))
		synctest.Wait()
		require.False(t, isClosed(m.Ended()))
		require.Empty(t, slices.Concat(got.losses(0), got.losses(1), got.losses(2)))
		<-m.Ended()
		require.Equal(t, time.Minute, time.Since(begun))
		require.True(t, m.Report().Held)
		require.Equal(t, "out late err", got.stdout()+" "+got.stderr())
		require.Equal(t, []error{ErrHeld}, got.losses(1))
		require.Equal(t, []error{ErrHeld}, got.losses(2))
		require.Len(t, got.losses(0), 1)
		require.ErrorIs(t, got.losses(0)[0], os.ErrClosed, "it was not all delivered")
		_, err = stdout.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE, "nobody reads any longer")
	})
}

func TestL5_7_EitherOutputMayBeHeld(t *testing.T) {
	for held := 1; held <= 2; held++ {
		synctest.Test(t, func(t *testing.T) {
			var got collected
			m, _, stdout, stderr := manageHeld(func(*Memory) int { return 0 }, got.options())
			[]*memPipe{stderr, stdout}[held-1].closeWrite()
			<-m.Ended()
			require.True(t, m.Report().Held)
			require.Equal(t, []error{ErrHeld}, got.losses(held))
			require.Equal(t, []error{nil}, got.losses(3-held))
			require.Equal(t, []error{nil}, got.losses(0), "nothing was undelivered")
		})
	}
}

func TestL5_7_WhatIsQueuedIsStillDeliveredToWhoHoldsTheInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		m, stdin, stdout, stderr := manageHeld(deaf, got.options())
		stdout.closeWrite()
		stderr.closeWrite()
		synctest.Wait()
		_, err := m.Write(t.Context(), make([]byte, 2*memPipeSize))
		require.NoError(t, err)
		require.NoError(t, m.Do(Kill))
		<-m.Exited()
		all, err := io.ReadAll(memReader{stdin})
		require.NoError(t, err)
		require.Len(t, all, 2*memPipeSize)
		<-m.Ended()
		require.Equal(t, [3][]error{{nil}, {nil}, {nil}}, got.lost)
		require.False(t, m.Report().Held)
	})
}

func TestL5_7_BrokenInputIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		m := manageSettled(func(m *Memory) int {
			m.Stdin.Close()
			return deaf(m)
		}, got.options())
		require.Empty(t, got.losses(0), "nobody has tried to write")
		_, err := m.Write(t.Context(), []byte("x"))
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, got.losses(0), 1)
		require.ErrorIs(t, got.losses(0)[0], syscall.EPIPE)
		_, err = m.Write(t.Context(), []byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		require.NoError(t, m.CloseAll())
		killed(t, m)
		require.Len(t, got.losses(0), 1)
	})
}

func TestL5_7_ClosedByTheProcessAndStillRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		m := manageSettled(func(m *Memory) int {
			m.Stdout.Close()
			m.Stderr.Close()
			return deaf(m)
		}, got.options())
		require.Equal(t, [3][]error{nil, {nil}, {nil}}, got.lost)
		require.False(t, isClosed(m.Exited()))
		killed(t, m)
		require.Equal(t, [3][]error{{nil}, {nil}, {nil}}, got.lost)
	})
}

func TestL5_5_LadderClosesAnInputThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		var closedAt time.Time
		m := manageSettled(func(m *Memory) int {
			m.Signals()
			time.Sleep(time.Minute)
			io.Copy(io.Discard, m.Stdin)
			closedAt = time.Now()
			return 0
		}, got.options())
		_, err := m.Write(t.Context(), make([]byte, 2*memPipeSize))
		require.NoError(t, err)
		begun := time.Now()
		r := m.Stop(t.Context(), Ladder(-1, time.Second, time.Hour), nil)
		require.True(t, r.Success(), r)
		require.Equal(t, time.Minute, closedAt.Sub(begun), "it found the end when it read at last")
		require.Len(t, got.losses(0), 1)
		require.ErrorIs(t, got.losses(0)[0], os.ErrClosed)
	})
}

func TestManagedWithoutFunctionsReadsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logged
		m := ManageFunc(func(m *Memory) int {
			m.Stdout.Write(make([]byte, 1<<20))
			io.WriteString(m.Stderr, "last words\n")
			return 0
		}, ManagedOptions{Options: Options{Log: out.logger()}})
		require.True(t, reportOf(m.Process).Success())
		require.Equal(t, "last words\n", m.Report().StderrTail)
		require.Contains(t, out.lines()[0], `line="last words"`)
	})
}

func TestManagedMethodsWorkInItsFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *Managed
		var got string
		ready := make(chan struct{})
		m = ManageFunc(func(m *Memory) int {
			io.WriteString(m.Stdout, "name?")
			p, _ := io.ReadAll(m.Stdin)
			io.WriteString(m.Stdout, "hello "+string(p))
			return 0
		}, ManagedOptions{
			Stdout: func(data []byte) {
				<-ready
				if got += string(data); got == "name?" {
					m.Pause()
					m.Resume()
					io.WriteString(m.Input(context.Background()), "Ann")
					m.CloseStdin()
				}
			},
			Lost: func(int, error) { m.CloseStdin() },
		})
		close(ready)
		<-m.Ended()
		require.Equal(t, "name?hello Ann", got)
	})
}
