package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// logged collects log lines without their time.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.text.String(), "\n"), "\n")
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// saying is a process that writes text to its standard error and exits.
func saying(text string) Func {
	return func(m *Memory) int {
		io.WriteString(m.Stderr, text)
		return 0
	}
}

func TestL1_14_StderrIsLoggedByLine(t *testing.T) {
	var out logged
	p := StartFunc(saying("one\r\n\ntwo words\nthr\xffee"), Options{Log: out.logger().With("pool", "images"), Name: "images/3"})
	r := reportOf(p)
	pre := fmt.Sprintf("level=INFO msg=stderr pool=images pid=%d worker=images/3 line=", p.PID())
	require.Equal(t, []string{pre + "one", pre + `"two words"`, pre + "\"thr\uFFFDee\""}, out.lines(), "the unterminated last line is flushed")
	require.Equal(t, "one\r\n\ntwo words\nthr\xffee", r.StderrTail, "the tail is as written")
}

func TestL1_14_LongLinesAreCut(t *testing.T) {
	var out logged
	p := StartFunc(saying(strings.Repeat("x", 10*maxLine)+"\nshort\n"), Options{Log: out.logger()})
	<-p.Ended()
	lines := out.lines()
	require.Len(t, lines, 2)
	require.Contains(t, lines[0], strings.Repeat("x", maxLine)+cutMark)
	require.NotContains(t, lines[0], strings.Repeat("x", maxLine+1))
	require.Contains(t, lines[1], "line=short")
}

func TestP2_FloodOfLinesIsDrainedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logged
		p := StartFunc(func(m *Memory) int {
			io.WriteString(m.Stderr, strings.Repeat("spam\n", 3*maxLineRate))
			time.Sleep(time.Second)
			io.WriteString(m.Stderr, "later\n")
			return 0
		}, Options{Log: out.logger()})
		<-p.Ended()
		lines := out.lines()
		require.Len(t, lines, maxLineRate+2)
		require.Contains(t, lines[maxLineRate], fmt.Sprintf(`msg="stderr lines not logged" pid=%d lines=%d`, p.PID(), 2*maxLineRate))
		require.Contains(t, lines[maxLineRate+1], "line=later")
	})
}

func TestL1_14_TailIsBounded(t *testing.T) {
	var all strings.Builder
	for i := range 50_000 {
		fmt.Fprintln(&all, i)
	}
	r := reportOf(StartFunc(saying(all.String()), Options{}))
	require.Len(t, r.StderrTail, tailMax)
	require.True(t, strings.HasSuffix(all.String(), r.StderrTail))
}

func TestTailAnyPieces(t *testing.T) {
	for _, size := range []int{1, 7, 4096, tailMax - 1, tailMax, tailMax + 1, 3*tailMax + 5} {
		var ring tail
		defer ring.stop()
		var all []byte
		for len(all) < 4*tailMax {
			piece := bytes.Repeat([]byte{byte(len(all)), byte(len(all) >> 8)}, (size+1)/2)[:size]
			all = append(all, piece...)
			ring.write(piece)
			if len(all)%8209 < size { // now and then, at no round number
				require.Equal(t, string(all[max(0, len(all)-tailMax):]), ring.String())
			}
		}
		require.LessOrEqual(t, cap(ring.ring), 2*tailMax)
	}
}

func TestTailShrinksWhenQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("0123456789", 2000)
		p := StartFunc(func(m *Memory) int {
			io.WriteString(m.Stderr, text)
			time.Sleep(tailQuiet / 2)
			io.WriteString(m.Stderr, "more")
			return deaf(m)
		}, Options{})
		time.Sleep(tailQuiet + time.Second)
		require.Equal(t, text+"more", p.StderrTail(), "it was not quiet for long enough")
		time.Sleep(tailQuiet)
		require.Equal(t, (text + "more")[len(text)+4-tailKeep:], p.StderrTail())
		require.NoError(t, p.Do(Kill))
		require.Len(t, reportOf(p).StderrTail, tailKeep)
	})
}

func TestTailOfAnEndedProcessStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := StartFunc(saying(strings.Repeat("x", 2*tailKeep)), Options{})
		<-p.Ended()
		time.Sleep(2 * tailQuiet)
		require.Len(t, p.Report().StderrTail, 2*tailKeep)
		require.Len(t, p.StderrTail(), 2*tailKeep)
	})
}

// stuckHandler blocks the first record until release is closed.
type stuckHandler struct {
	slog.Handler
	release chan struct{}
}

func (h stuckHandler) Handle(context.Context, slog.Record) error {
	<-h.release
	return nil
}

func (h stuckHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func TestP36_EndedDespiteALogHandlerThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := slog.New(stuckHandler{slog.NewTextHandler(io.Discard, nil), release})
		p := StartFunc(saying("hello\n"), Options{Log: log})
		begun := time.Now()
		r := reportOf(p)
		require.Equal(t, defaultDrainTimeout+lastRead, time.Since(begun))
		require.Equal(t, "hello\n", r.StderrTail)
		close(release)
		<-p.stderr.done
	})
}

func TestReaderThatIsCalledOffTakesWhatIsThere(t *testing.T) {
	for name, held := range map[string]bool{"held": true, "closed": false} {
		t.Run(name, func(t *testing.T) {
			pipe := newMemPipe()
			p := makeProcess(started{child: &memoryChild{}, stderr: pipe}, Options{})
			_, err := pipe.Write(bytes.Repeat([]byte("x"), 3*readChunk))
			require.NoError(t, err)
			if !held {
				pipe.closeWrite()
			}
			pipe.Interrupt() // before the first Read
			p.stderr.run()
			p.tail.stop()
			require.Len(t, p.StderrTail(), 3*readChunk)
			require.Equal(t, held, p.stderr.held)
			_, err = pipe.Write([]byte("x"))
			require.Error(t, err, "nobody reads any longer")
		})
	}
}

// endless is a source that never runs dry.
type endless struct{ read int }

func (e *endless) TryRead(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func (*endless) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }
func (*endless) Interrupt()               {}
func (*endless) Close() error             { return nil }

func TestP30_ReaderThatIsCalledOffComesToAnEnd(t *testing.T) {
	var src endless
	p := makeProcess(started{child: &memoryChild{}, stderr: &src}, Options{})
	defer p.tail.stop()
	p.stderr.run()
	require.True(t, p.stderr.held)
	require.Equal(t, lastBytes, src.read)
}

func TestReportIsZeroBeforeTheExit(t *testing.T) {
	p := StartFunc(deaf, Options{})
	require.Zero(t, p.Report())
	require.Equal(t, "has not exited", p.Report().String())
	require.NoError(t, p.Do(Kill))
	<-p.Exited()
	require.NotZero(t, p.Report())
	<-p.Ended()
}
