package monitor

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

var errA, errB = errors.New("a"), errors.New("b")

// named is a notice that the tests can tell from others.
func named(name string) notice { return notice{size: len(name), line: true, key: &name} }

// begun takes the next notice and returns its name, or "" if none is to be begun.
func begun(d *docket) string {
	n, ok := d.next()
	if !ok {
		return ""
	}
	return *n.key
}

func TestL1_7_DocketIsSerialAndFIFO(t *testing.T) {
	d := docket{maxLines: 10}
	require.Empty(t, begun(&d))
	for _, name := range []string{"a", "b", "c"} {
		d.addLine(named(name))
	}
	require.Equal(t, "a", begun(&d), "the first at once")
	require.Empty(t, begun(&d), "one at a time")
	d.addLine(named("d"))
	for _, name := range []string{"b", "c", "d"} {
		require.True(t, d.returned())
		require.Equal(t, name, begun(&d))
	}
	require.True(t, d.returned())
	require.Empty(t, begun(&d))
}

// verdict is the error that a watch with this docket ends with.
func verdict(d *docket) error {
	if d.failure == nil && !d.success {
		return errExit
	}
	return d.failure
}

var errExit = errors.New("exit")

// L1.6 as data: what happens in order, whether a signal follows, and the result.
func TestL1_6_DocketFirstFailureWins(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []string
		stops  int
		result error
	}{
		{"an error, then death by our signal", []string{"a", "die"}, 1, errA},
		{"an error, then a clean exit", []string{"a", "exit"}, 1, errA},
		{"two errors", []string{"a", "b", "die"}, 1, errA},
		{"an unclean exit, then the running notification fails", []string{"run", "die", "b"}, 0, errExit},
		{"a clean exit, then the running notification fails", []string{"run", "exit", "b"}, 0, errB},
		{"a clean exit", []string{"run", "exit"}, 0, nil},
		{"an unclean exit", []string{"die"}, 0, errExit},
		{"an error after all is over", []string{"exit", "end", "b"}, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := docket{maxLines: 10}
			stops := 0
			fail := func(err error) {
				if d.fail(err) && d.stop() {
					stops++
				}
			}
			for _, event := range c.events {
				switch event {
				case "run":
					d.addLine(named("n"))
					d.next()
				case "a":
					fail(errA)
				case "b":
					d.returned()
					fail(errB)
				case "exit", "die":
					d.exit(event == "exit")
				case "end":
					d.end()
					d.finish()
				}
			}
			require.Equal(t, c.stops, stops)
			require.Equal(t, c.result, verdict(&d))
		})
	}
}

func TestL1_8_DocketSkipsAfterAFailure(t *testing.T) {
	filled := func() *docket {
		d := &docket{maxLines: 2}
		d.addLine(named("a"))
		require.Equal(t, "a", begun(d))
		d.addLine(named("b"))
		d.addLine(named("c"))
		require.False(t, d.room())
		return d
	}
	t.Run("a failure", func(t *testing.T) {
		d := filled()
		require.True(t, d.fail(errA))
		d.addLine(named("d"))
		require.True(t, d.room(), "what comes is dropped, so that the process is not held up")
		require.Equal(t, errA, d.add(named("e")))
		d.returned()
		require.Empty(t, begun(d))
	})
	t.Run("an unclean exit", func(t *testing.T) {
		d := filled()
		d.exit(false)
		require.NoError(t, d.add(notice{}), "what it wrote last is still being read")
		d.end()
		require.False(t, d.finish(), "the running one is awaited")
		require.Equal(t, ErrOver, d.add(named("e")))
		d.returned()
		require.Empty(t, begun(d))
		require.True(t, d.finish())
	})
	t.Run("an unclean exit, all lines wanted", func(t *testing.T) {
		d := filled()
		d.all = true
		d.exit(false)
		d.end()
		d.returned()
		require.Equal(t, "b", begun(d))
		require.False(t, d.fail(errA), "the exit was first")
		d.returned()
		require.Empty(t, begun(d), "but it is a failure")
		require.True(t, d.finish())
		require.NoError(t, d.failure)
	})
	t.Run("a clean exit", func(t *testing.T) {
		d := filled()
		d.exit(true)
		d.addLine(named("d"))
		d.end()
		for _, name := range []string{"b", "c", "d"} {
			d.returned()
			require.False(t, d.finish())
			require.Equal(t, name, begun(d))
		}
		d.returned()
		require.True(t, d.finish())
		require.False(t, d.finish(), "once")
	})
}

func TestL1_9_DocketDoesNotWaitForWhoIsOverdue(t *testing.T) {
	d := docket{maxLines: 10}
	d.addLine(named("a"))
	d.next()
	first := d.turn
	d.returned()
	require.False(t, d.expired(first), "it had returned")
	d.addLine(named("b"))
	d.next()
	require.False(t, d.expired(first), "another one runs")
	d.exit(true)
	d.end()
	require.False(t, d.finish())
	require.True(t, d.expired(d.turn))
	require.False(t, d.expired(d.turn), "once")
	require.True(t, d.fail(errA))
	require.True(t, d.finish())
	require.False(t, d.returned(), "nobody waits")
	require.Equal(t, errA, d.failure)
}

func TestL1_12_DocketKeepsTheLatest(t *testing.T) {
	d := docket{maxLines: 10}
	d.addLine(named("busy"))
	d.next()
	old, other, newer := named("status"), named("other"), named("status")
	newer.size = 99
	old.line, other.line, newer.line = false, false, false
	require.NoError(t, d.add(old))
	require.NoError(t, d.add(other))
	require.NoError(t, d.add(newer))
	require.Len(t, d.waiting, 2)
	d.returned()
	n, ok := d.next()
	require.True(t, ok)
	require.Equal(t, 99, n.size, "the newer one, in the place of the old")
	require.NoError(t, d.add(old), "the one that runs does not wait")
	d.returned()
	require.Equal(t, "other", begun(&d))
}

func TestL1_14_DocketIsBounded(t *testing.T) {
	d := docket{maxLines: 1}
	require.True(t, d.room())
	d.addLine(named("line"))
	require.False(t, d.room())
	for range maxNotes {
		require.NoError(t, d.add(notice{}), "lines do not count here")
	}
	require.Equal(t, ErrQueueFull, d.add(notice{}))
	d.exit(true)
	last := notice{line: true, size: lastOutput / 2}
	d.addLine(last)
	require.True(t, d.room(), "the last words of the process")
	d.addLine(last)
	require.False(t, d.room(), "somebody else's")
}

// Whatever happens in whatever order: one runs at a time, in order; nothing begins after a failure; and what is over stays so.
func TestDocketInvariants(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2_000 {
		d := docket{maxLines: 1 + random.IntN(3)}
		put, last := 0, -1
		var failure error
		for range 30 {
			was := d
			switch random.IntN(7) {
			case 0, 1:
				if d.room() && !d.ended {
					d.addLine(named(strconv.Itoa(put)))
					put++
				}
			case 2:
				if d.running {
					d.returned()
				}
			case 3:
				d.expired(d.turn)
			case 4:
				if random.IntN(4) == 0 {
					d.fail(errA)
				}
			case 5:
				d.exit(random.IntN(2) == 0)
			case 6:
				if d.exited {
					d.end()
				}
			}
			if name := begun(&d); name != "" {
				turn, _ := strconv.Atoi(name)
				require.Greater(t, turn, last)
				last = turn
				require.False(t, was.running && d.turn == was.turn)
				require.False(t, was.skip || d.failure != nil, "nothing begins after a failure")
			}
			require.True(t, failure == nil || d.failure == failure)
			finished := d.finish()
			require.False(t, was.over && (finished || d.failure != was.failure))
			require.False(t, d.skip && len(d.waiting) > 0)
			require.False(t, d.ended && d.failed() && !d.skip)
			require.False(t, d.over && (!d.ended || len(d.waiting) > 0))
			failure = d.failure
		}
	}
}
