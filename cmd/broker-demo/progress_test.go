package main

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgressPlainLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var files atomic.Int64
		p := startProgress(&out, false, "files", files.Load, func() string { return "2 retries" })
		p.setTotal(100)              // means nothing without a bar
		time.Sleep(lineInterval / 2) // between the ticks from here on
		for range 2 {
			files.Add(10)
			time.Sleep(lineInterval)
			synctest.Wait()
		}
		p.note("warning: %s", "x")
		p.stop()
		require.Equal(t, "10 files, 2 retries\n20 files, 2 retries\nwarning: x\n", out.String())
	})
}

func TestProgressBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var files atomic.Int64
		p := startProgress(&out, true, "files", files.Load, func() string { return "2 retries" })
		time.Sleep(barInterval / 2) // between the ticks from here on
		update := func(done int64) string {
			synctest.Wait()
			out.Reset()
			files.Store(done)
			time.Sleep(barInterval)
			synctest.Wait()
			return out.String()
		}
		require.Empty(t, update(5), "no bar while the total is not known")
		for range 2 { // passes
			files.Store(0)
			p.setTotal(100)
			shown := update(50)
			require.Contains(t, shown, "(50/100")
			require.Contains(t, shown, "2 retries")
			update(100)
		}
		p.note("warning: x")
		p.stop()
		_, after, found := strings.Cut(out.String(), "warning: x\n")
		require.True(t, found)
		require.NotContains(t, after, "retries", "the bar is gone")
	})
}

// A bar without an end turns with our ticks alone: a goroutine of its own would fail the bubble.
func TestEndlessProgressBarEndsWithStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var calls atomic.Int64
		p := startProgress(&out, true, "calls", calls.Load, func() string { return "2 retries" })
		p.setTotal(endless)
		calls.Store(5)
		time.Sleep(barInterval + barInterval/2)
		p.stop()
		require.Contains(t, out.String(), "2 retries")
		out.Reset()
		time.Sleep(time.Second)
		require.Empty(t, out.String())
	})
}
