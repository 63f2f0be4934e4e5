package process

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// reportOf waits for the end of p.
func reportOf(p *Process) Report {
	<-p.Ended()
	return p.Report()
}

func TestMemoryExitCode(t *testing.T) {
	p := StartFunc(func(*Memory) int { return 3 }, Options{})
	r := reportOf(p)
	require.Equal(t, 3, r.Code)
	require.Zero(t, r.Signal)
	require.False(t, r.Success())
	require.True(t, reportOf(StartFunc(func(*Memory) int { return 0 }, Options{})).Success())
}

func TestMemoryDead(t *testing.T) {
	goOn := make(chan struct{})
	p := StartFunc(func(*Memory) int { <-goOn; return 0 }, Options{})
	require.False(t, p.Dead())
	close(goOn)
	<-p.Exited()
	require.True(t, p.Dead())
}

func TestMemoryPIDsAreNobodys(t *testing.T) {
	const pidMaxLimit = 1 << 22 // Linux gives no larger ones
	f := func(m *Memory) int { return m.PID - firstMemoryPID }
	a, b := StartFunc(f, Options{}), StartFunc(f, Options{})
	require.Greater(t, a.PID(), pidMaxLimit)
	require.NotEqual(t, a.PID(), b.PID())
	require.Equal(t, a.PID(), reportOf(a).PID)
	require.Equal(t, b.PID()-firstMemoryPID, reportOf(b).Code, "it sees its own pid")
}

func TestMemoryStreams(t *testing.T) {
	p := StartFunc(func(m *Memory) int {
		n, _ := io.Copy(m.Stdout, m.Stdin)
		fmt.Fprintf(m.Stderr, "copied %d bytes", n)
		return 0
	}, Options{})
	_, err := io.WriteString(p.Stream(), "over and out")
	require.NoError(t, err)
	require.NoError(t, p.Stream().CloseWrite())
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	require.Equal(t, "over and out", string(all))
	require.Equal(t, "copied 12 bytes", reportOf(p).StderrTail)
	_, err = p.Stream().Write([]byte("x"))
	require.ErrorIs(t, err, os.ErrClosed)
	require.NoError(t, p.Stream().Close())
	require.NoError(t, p.Stream().Close(), "twice is no error")
}

func TestMemoryKillIsDeathWhateverTheFuncDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var readErr, writeErr error
		p := startSettled(func(m *Memory) int {
			<-m.Killed
			time.Sleep(time.Hour) // slow to notice
			_, readErr = m.Stdin.Read(make([]byte, 1))
			_, writeErr = m.Stdout.Write([]byte("x"))
			return 0
		}, Options{})
		begun := time.Now()
		require.NoError(t, p.Do(Kill))
		r := reportOf(p)
		require.Equal(t, KILL, r.Signal)
		require.Equal(t, noCode, r.Code)
		require.Zero(t, time.Since(begun))
		_, err := p.Stream().Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		_, err = p.Stream().Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)

		time.Sleep(time.Hour)
		synctest.Wait()
		require.Error(t, readErr)
		require.Error(t, writeErr)
		require.Equal(t, KILL, p.Report().Signal, "what the Func returned later does not count")
	})
}

func TestMemoryTermEndsWhoDoesNotHandleIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(func(m *Memory) int {
			<-m.Killed
			return 0
		}, Options{})
		require.NoError(t, p.Do(Terminate))
		require.Equal(t, TERM, reportOf(p).Signal)
	})
}

func TestMemoryTermIsDeliveredToWhoHandlesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(func(m *Memory) int { return int(<-m.Signals()) }, Options{})
		require.NoError(t, p.Do(Terminate))
		r := reportOf(p)
		require.Equal(t, int(TERM), r.Code)
		require.Zero(t, r.Signal)
	})
}

func TestMemorySignalsDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(deaf, Options{})
		for range 10 * memorySignals {
			require.NoError(t, p.Signal(HUP))
		}
		require.ErrorIs(t, p.Signal(0), syscall.EINVAL)
		require.NoError(t, p.Do(Kill))
		<-p.Ended()
		require.ErrorIs(t, p.Signal(HUP), ErrExited)
	})
}

// P45: what a process wrote before it died can be read after its death.
func TestP45_MemoryLastOutputSurvivesDeath(t *testing.T) {
	p := StartFunc(func(m *Memory) int {
		fmt.Fprintln(m.Stdout, "last words")
		return 0
	}, Options{})
	<-p.Ended()
	line, err := bufio.NewReader(p.Stream()).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "last words\n", line)
}

func TestMemoryPipeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(deaf, Options{})
		written := make(chan int, 1)
		go func() {
			n, _ := p.Stream().Write(make([]byte, memPipeSize+1))
			written <- n
		}()
		synctest.Wait()
		require.Empty(t, written, "it waits for room")
		require.NoError(t, p.Stream().CloseWrite())
		require.Equal(t, memPipeSize, <-written)
		require.NoError(t, p.Do(Kill))
		<-p.Ended()
	})
}

func TestMemoryFuncMayCloseItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(func(m *Memory) int {
			m.Stdout.Close()
			m.Stdin.Close()
			return deaf(m)
		}, Options{})
		_, err := p.Stream().Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "closed its output, still running")
		require.False(t, isClosed(p.Exited()))
		_, err = p.Stream().Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		require.NoError(t, p.Do(Kill))
		<-p.Ended()
	})
}

func TestMemoryGoexit(t *testing.T) {
	p := StartFunc(func(*Memory) int {
		runtime.Goexit()
		return 0
	}, Options{})
	require.Equal(t, exitGoexit, reportOf(p).Code)
}

func TestMemoryLargeTransfer(t *testing.T) {
	p := StartFunc(func(m *Memory) int {
		io.Copy(m.Stdout, m.Stdin)
		return 0
	}, Options{})
	payload := []byte(strings.Repeat("0123456789", 100_000))
	go func() {
		p.Stream().Write(payload)
		p.Do(CloseStdin)
	}()
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	require.True(t, bytes.Equal(payload, all))
	<-p.Ended()
}
