package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/bench/internal/report"
	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/worker"
)

func TestMain(m *testing.M) {
	worker.Main(workers)
	asHost()
	os.Exit(m.Run())
}

// tiny is the smallest run that still goes through everything.
func tiny() settings {
	return settings{
		rounds: 2, length: 20 * time.Millisecond, open: 300 * time.Millisecond, seed: 1,
		workers: numbers{1, 3}, waiting: numbers{0, 1, 300}, starts: numbers{1, 3},
	}
}

func TestEveryMeasurement(t *testing.T) {
	c, err := newCrew(t.Context(), broker.PoolOptions{Min: 1, Max: 1})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("facility missing: worker processes; they are what is measured: %v", err)
	}
	require.NoError(t, err)
	require.NoError(t, c.close())
	for _, m := range measurements {
		t.Run(m.name, func(t *testing.T) {
			tables, err := m.run(tiny())
			require.NoError(t, err)
			require.NotEmpty(t, tables)
			for _, table := range tables {
				require.NotEmpty(t, table.Rows, table.Name)
				for _, r := range table.Rows {
					require.NotEmpty(t, r.Figures, "%s: %s", table.Name, r.Name)
				}
			}
			var out bytes.Buffer
			d := document{Machine: report.Here(), Tables: tables}
			require.NoError(t, d.print(&out))
			t.Log(out.String())
			path := filepath.Join(t.TempDir(), "results.json")
			require.NoError(t, report.Save(path, d))
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			var again document
			require.NoError(t, json.Unmarshal(text, &again))
			require.Equal(t, tables, again.Tables)
		})
	}
}

// What a worker sees out of its order is found, and fails the run.
func TestTourNoticesEveryCallOutOfOrder(t *testing.T) {
	for want, numbers := range map[int][]int{
		0: {0, 1, 2, 3},
		1: {1, 2, 3},
		2: {0, 2, 3, 1},
		3: {0, 2, 1, 3},
	} {
		var seen tour
		for _, n := range numbers {
			seen.add(n)
		}
		require.Equal(t, want, seen.Misplaced, numbers)
		require.Equal(t, len(numbers), seen.Served)
	}
}

// A server that stands still for a while delays no later call: each of them is sent when it is due, and has waited from then on.
func TestOpenLoopOmitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := make(chan time.Duration, 1) // free, and how long it takes for the next call
		server <- 100 * time.Millisecond
		loop := &openLoop{callers: 16, gap: evenly(time.Millisecond), call: func(context.Context) error {
			time.Sleep(<-server)
			server <- 0
			return nil
		}}
		begin := time.Now()
		pending := loop.run(t.Context(), 200*time.Millisecond)
		require.NoError(t, loop.outcome())
		require.Equal(t, 199, loop.latency.count(), "one is due after each millisecond of 200, but for the last")
		require.LessOrEqual(t, pending, int64(1), "the last one")
		require.Less(t, time.Since(begin), 201*time.Millisecond)
		require.Zero(t, loop.late.quantile(1), "sent when due")
		require.Equal(t, 100*time.Millisecond, loop.latency.quantile(1))
		// A hundred calls came during the stall: the n-th of them waited for 100-n ms.
		require.InEpsilon(t, 50*time.Millisecond, loop.latency.quantile(149.0/199), 1.0/32)
		require.Zero(t, loop.latency.quantile(99.0/199))
	})
}

// A dispatcher that was held up sends all that were due meanwhile, and its delay is theirs.
func TestOpenLoopCountsItsOwnDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		loop := &openLoop{callers: 16, call: func(context.Context) error { return nil }, gap: func() time.Duration {
			if sent++; sent == 10 {
				time.Sleep(50 * time.Millisecond)
			}
			return time.Millisecond
		}}
		loop.run(t.Context(), 100*time.Millisecond)
		require.Equal(t, 99, loop.latency.count())
		for _, h := range []*histogram{&loop.latency, &loop.late} {
			require.Equal(t, 49*time.Millisecond, h.quantile(1))
			require.InEpsilon(t, 24*time.Millisecond, h.quantile(74.0/99), 1.0/32)
			require.Zero(t, h.quantile(50.0/99))
		}
	})
}

// Calls go to who has become free last; those that come while nobody is free are made in the order in which they were due, all of them.
func TestDispatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d dispatch
		begin := time.Now()
		order := make(chan string, 100)
		goes, slow := make(chan struct{}), make(chan struct{})
		for _, name := range []string{"first", "second", "third"} {
			go func() { // ends when no more calls are due
				own := make(chan time.Time, 1)
				for at, ok := d.next(own); ok; at, ok = d.next(own) {
					order <- fmt.Sprint(name, " ", at.Sub(begin))
					<-slow
				}
				goes <- struct{}{}
			}()
			synctest.Wait()
		}
		for i := range 9 {
			d.send(begin.Add(time.Duration(i)))
			synctest.Wait()
		}
		require.Equal(t, []string{"third 0s", "second 1ns", "first 2ns"}, []string{<-order, <-order, <-order})
		require.Equal(t, 6, d.waiting())
		d.close()
		for i := 3; i < 9; i++ {
			slow <- struct{}{}
			synctest.Wait()
			require.Contains(t, <-order, fmt.Sprint(" ", time.Duration(i)))
		}
		close(slow)
		for range 3 {
			<-goes
		}
		require.Zero(t, d.waiting())
		require.Empty(t, order)
	})
}

func TestOpenLoopCountsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loop := &openLoop{callers: 16, gap: evenly(time.Millisecond), call: func(context.Context) error { return gauge.ErrStuck }}
		loop.run(t.Context(), 3*time.Millisecond)
		require.EqualError(t, loop.outcome(), "2 calls failed; the first: "+gauge.ErrStuck.Error())
		nobody := &openLoop{gap: evenly(time.Millisecond)}
		nobody.run(t.Context(), 3*time.Millisecond)
		require.EqualError(t, nobody.outcome(), "2 calls were due, and 0 have ended")
	})
}

// The arrivals of a seed are always the same, and come at the rate that was asked for.
func TestPoisson(t *testing.T) {
	const n = 100_000
	a, b := poisson(1000, 7), poisson(1000, 7)
	var sum time.Duration
	short := 0
	for range n {
		gap := a()
		require.Equal(t, gap, b())
		sum += gap
		if gap < time.Millisecond {
			short++
		}
	}
	require.InEpsilon(t, n*time.Millisecond, sum, 0.01)
	require.InDelta(t, 0.632, float64(short)/n, 0.01, "1 - 1/e are shorter than the mean")
}

func TestHistogram(t *testing.T) {
	var h histogram
	require.Zero(t, h.quantile(0.5))
	var all []time.Duration
	for d := time.Duration(1); d < time.Minute; d = d*21/20 + 1 {
		all = append(all, d)
		h.add(d)
	}
	slices.Sort(all)
	require.Equal(t, len(all), h.count())
	for i, exact := range all {
		got := h.quantile(float64(i+1) / float64(len(all)))
		require.GreaterOrEqual(t, got, exact)
		require.LessOrEqual(t, float64(got), float64(exact)*(1+1.0/64))
	}
	require.Equal(t, all[len(all)-1], h.quantile(1), "the longest is exact")
	h.add(-time.Second)
	require.Zero(t, h.quantile(0), "less than nothing is nothing")
	h.add(1<<63 - 1)
	require.Equal(t, time.Duration(1<<63-1), h.quantile(1))
}

func TestBucketsFollowEachOther(t *testing.T) {
	require.Zero(t, bucket(0))
	for b := range len(histogram{}.counts) {
		require.Equal(t, b, bucket(largest(b)))
		if b+1 < len(histogram{}.counts) {
			require.Equal(t, b+1, bucket(largest(b)+1))
		}
	}
}

func TestQueueIsShownByThirds(t *testing.T) {
	var r row
	r.addQueue([]int{1, 2, 9, 9, 30, 31, 0})
	require.Equal(t, "1.50", r.cell("waiting, first third"))
	require.Equal(t, "15.50", r.cell("last third"))
	require.Equal(t, "31", r.cell("most waiting"))
	r = row{}
	r.addQueue([]int{1, 2})
	require.Empty(t, r.Figures, "too few to have thirds")
}

// In a comparison each round stands beside the one of the same number, and who is first changes.
func TestTurns(t *testing.T) {
	var order strings.Builder
	measure := func(name string) func() (gauge.Figures, error) {
		return func() (gauge.Figures, error) {
			order.WriteString(name)
			return gauge.Figures{P50: time.Duration(order.Len())}, nil
		}
	}
	as, bs, err := inTurns(3, measure("a"), measure("b"))
	require.NoError(t, err)
	require.Equal(t, "abbaab", order.String())
	require.Equal(t, []gauge.Figures{{P50: 1}, {P50: 4}, {P50: 5}}, as)
	require.Equal(t, []gauge.Figures{{P50: 2}, {P50: 3}, {P50: 6}}, bs)

	_, _, err = inTurns(1, measure("a"), func() (gauge.Figures, error) { return gauge.Figures{}, gauge.ErrStuck })
	require.ErrorIs(t, err, gauge.ErrStuck)
}

func TestCells(t *testing.T) {
	var r row
	r.addTime("a", 1500)
	r.addTime("b", 2500*time.Microsecond)
	r.addTime("c", 61*time.Second)
	r.add("d", octets, 512)
	r.add("e", octets, 20<<10)
	r.add("f", octets, 3<<20)
	r.addRounds("g", times, []float64{3, 1, 2})
	r.add("h", count, 7)
	table := table{Rows: []row{{Name: "other", Figures: []figure{{Name: "b"}}}, r}}
	require.Equal(t, []string{"b", "a", "c", "d", "e", "f", "g", "h"}, table.columns())
	var got []string
	for _, name := range append(table.columns(), "none") {
		got = append(got, r.cell(name))
	}
	require.Equal(t, []string{"2.5 ms", "1.5 µs", "61.00 s", "512 B", "20.0 KiB", "3.0 MiB", "2.00", "7", "-"}, got)
}

// What one process is told by flags another one is told by the arguments made of them.
func TestSettingsReachOtherProcesses(t *testing.T) {
	var s, again settings
	f := flag.NewFlagSet("", flag.ContinueOnError)
	s.register(f)
	require.NoError(t, f.Parse([]string{"-rounds", "3", "-round", "2s", "-time", "5s", "-seed", "9", "-workers", "2,5", "-waiting", "0, 7", "-starts", "4"}))
	f = flag.NewFlagSet("", flag.ContinueOnError)
	again.register(f)
	require.NoError(t, f.Parse(s.arguments()))
	require.Equal(t, s, again)
	require.Equal(t, numbers{0, 7}, again.waiting)
	f.SetOutput(io.Discard)
	require.Error(t, f.Parse([]string{"-workers", "5,2"}))
	require.Error(t, f.Parse([]string{"-workers", "many"}))
}

func TestSettingsAreChecked(t *testing.T) {
	_, err := settings{only: "none", workers: numbers{0}, waiting: numbers{deepest + 1}}.choose()
	for _, wrong := range []string{"-rounds 0", "-round and -time", "-workers 0", "-waiting 1000001", "-only none"} {
		require.ErrorContains(t, err, wrong)
	}
	s := tiny()
	s.only = "open|mem"
	chosen, err := s.choose()
	require.NoError(t, err)
	require.Len(t, chosen, 2)
	s.only = "("
	_, err = s.choose()
	require.ErrorContains(t, err, "-only")
}

// A host that cannot do what it is told ends, and with it whoever told it.
func TestHostRefusesWhatItDoesNotKnow(t *testing.T) {
	const none = 0 // it needs no workers to refuse
	h, err := startHost(none, nil)
	require.NoError(t, err)
	_, err = h.round("square", time.Millisecond)
	require.Error(t, err)
	require.Error(t, h.close())
}

func TestUsageOfThisProcess(t *testing.T) {
	u, err := usageOf(os.Getpid())
	require.NoError(t, err)
	if runtime.GOOS != "linux" {
		require.Zero(t, u, "nothing is known, which is no error")
		return
	}
	require.Greater(t, u.resident, float64(1<<20))
	require.LessOrEqual(t, u.proportional, u.resident)
	require.GreaterOrEqual(t, u.descriptors, 3.0)
	require.GreaterOrEqual(t, u.threads, 1.0)
}
