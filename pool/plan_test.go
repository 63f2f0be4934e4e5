package pool

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlan(t *testing.T) {
	stopped := func(n int) census { return census{stopped: n} }
	cases := []struct {
		name string
		d    demand
		want int
	}{
		{"nobody wants anything", demand{census: stopped(4), places: 1}, 0},
		{"one caller, one worker", demand{census: stopped(4), waiting: 1, places: 1}, 1},
		{"L2.1: a hundred callers, Max 1", demand{census: stopped(1), waiting: 100, places: 1}, 1},
		{"one is starting for the one caller", demand{census: census{stopped: 3, starting: 1}, waiting: 1, places: 1}, 0},
		{"one is starting for two callers", demand{census: census{stopped: 3, starting: 1}, waiting: 2, places: 1}, 1},
		{"places of those starting count", demand{census: census{stopped: 3, starting: 1}, waiting: 64, places: 64}, 0},
		{"one more for the 65th", demand{census: census{stopped: 3, starting: 1}, waiting: 65, places: 64}, 1},
		{"P17: one death among ready ones is no reason without callers", demand{census: census{stopped: 1, ready: 3}, places: 1}, 0},
		{"Min is replaced", demand{census: census{stopped: 1, ready: 3}, min: 4, places: 1}, 1},
		{"P17: and once only", demand{census: census{stopped: 0, starting: 1, ready: 3}, min: 4, places: 1}, 0},
		{"Min and callers are one need, not two", demand{census: stopped(8), waiting: 2, min: 2, places: 1}, 2},
		{"who leaves holds its slot", demand{census: census{leaving: 4}, waiting: 5, places: 1}, 0},
		{"a few at a time", demand{census: stopped(100), waiting: 100, places: 1}, maxStarts},
		{"a few at a time, with some under way", demand{census: census{stopped: 97, starting: 3}, waiting: 100, places: 1}, maxStarts - 3},
		{"P25: a successor beside a full crew", demand{census: census{stopped: 1, ready: 4, due: 1}, max: 4, surge: 1, places: 1}, 1},
		{"P25: one at a time", demand{census: census{stopped: 1, ready: 4, due: 4}, max: 4, surge: 1, places: 1}, 1},
		{"P25: one at a time where there is room, too", demand{census: census{stopped: 5, ready: 4, due: 4}, max: 8, surge: 1, places: 1}, 1},
		{"P25: as many at a time as Surge", demand{census: census{stopped: 6, ready: 4, due: 4}, max: 8, surge: 2, places: 1}, 2},
		{"the successor is starting", demand{census: census{starting: 1, ready: 4, due: 1}, max: 4, surge: 1, places: 1}, 0},
		{"room for a successor is not for callers", demand{census: census{stopped: 1, ready: 4}, waiting: 9, max: 4, surge: 1, places: 1}, 0},
		{"the one before has not gone yet", demand{census: census{ready: 4, due: 3, leaving: 1}, max: 4, surge: 1, places: 1}, 0},
		{"no room for a successor", demand{census: census{stopped: 1, ready: 4, due: 1}, max: 4, places: 1}, 0},
		{"the successor comes after", demand{census: census{stopped: 1, ready: 3}, max: 4, owed: 1, places: 1}, 1},
		{"a trial holds its slot and serves nobody", demand{census: census{stopped: 1, trial: 1, ready: 2}, waiting: 5, max: 4, places: 1}, 1},
		{"nor does it take a place from those who wait", demand{census: census{stopped: 2, trial: 1}, waiting: 5, max: 1, places: 1}, 1},
		{"what is beyond max is for it alone", demand{census: census{stopped: 1, trial: 1, ready: 1}, waiting: 5, max: 1, surge: 1, places: 1}, 0},
		{"a probe", demand{census: stopped(4), waiting: 9, min: 3, max: 4, places: 1, looping: true}, 1},
		{"and no other beside it", demand{census: census{stopped: 3, starting: 1}, waiting: 9, min: 3, max: 4, places: 1, looping: true}, 0},
		{"nor one that nobody wants", demand{census: stopped(4), max: 4, places: 1, looping: true}, 0},
		{"backing off", demand{census: stopped(4), waiting: 9, min: 3, places: 1, paused: true}, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.d.max == 0 {
				c.d.max = c.d.processes() + c.d.stopped
			}
			require.Equal(t, c.want, plan(c.d))
		})
	}
}

func TestYields(t *testing.T) {
	full := demand{census: census{ready: 4, due: 2}, max: 4, places: 1}
	require.True(t, full.yields())
	for name, change := range map[string]func(*demand){
		"there is room":                  func(d *demand) { d.max++ },
		"a successor has room":           func(d *demand) { d.surge = 1 },
		"one is on its way":              func(d *demand) { d.ready, d.starting = 3, 1 },
		"one has gone already":           func(d *demand) { d.ready, d.leaving = 3, 1 },
		"the one before is owed":         func(d *demand) { d.owed = 1 },
		"the one on trial may be enough": func(d *demand) { d.trial = 1 },
		"none could come":                func(d *demand) { d.paused = true },
	} {
		d := full
		change(&d)
		require.False(t, d.yields(), name)
	}
}

// TestPlan_NeverTooMany walks through all small demands.
func TestPlan_NeverTooMany(t *testing.T) {
	for i := range 6 * 6 * 6 * 8 * 4 * 3 {
		d := demand{
			census:  census{stopped: i % 6, starting: i / 6 % 6, ready: i / 36 % 6},
			waiting: i / 216 % 8,
			min:     i / 1728 % 4,
			max:     15,
			places:  1 + i/6912%3,
		}
		n := plan(d)
		switch needed := d.ready+d.starting+n-1 < d.min || d.waiting > (d.starting+n-1)*d.places; {
		case n < 0 || n > d.stopped:
			require.Fail(t, "more than slots", "%+v", d)
		case n > 0 && n+d.starting > maxStarts:
			require.Fail(t, "more than a few at a time", "%+v", d)
		case n > 0 && !needed:
			require.Fail(t, "the last one is not needed", "%+v", d)
		}
	}
}
