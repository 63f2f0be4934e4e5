package pool

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func listed(places int, workers ...*worker) *readySet {
	r := &readySet{}
	r.grow(places)
	for _, w := range workers {
		w.places = places
		r.put(w)
	}
	return r
}

func TestReadySet_FewestInFlightThenMostRecentlyUsed(t *testing.T) {
	a, b, c := &worker{}, &worker{inFlight: 1}, &worker{}
	r := listed(3, a, b, c)
	require.Same(t, c, r.best(), "the last one used of those that are idle")
	require.Same(t, a, r.idlest())
	c.inFlight = 2
	r.put(c)
	require.Same(t, a, r.best())
	a.inFlight = 1
	r.put(a)
	require.Same(t, a, r.best(), "of a and b, both with one call, a was used last")
	require.Nil(t, r.idlest())
}

func TestReadySet_FullWorkersAreNotListed(t *testing.T) {
	a := &worker{}
	r := listed(1, a)
	a.inFlight = 1
	r.put(a)
	require.Nil(t, r.best())
	a.inFlight = 0
	r.put(a)
	require.Same(t, a, r.best())
	r.remove(a)
	r.remove(a)
	require.Nil(t, r.best())
}

// TestReadySet_Random compares the shelves with a plain list in the order of last use.
func TestReadySet_Random(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	r := &readySet{}
	r.grow(maxInFlight)
	workers := make([]*worker, 12)
	for i := range workers {
		workers[i] = &worker{places: []int{1, 2, 3, 70, maxInFlight}[i%5]}
	}
	var used []*worker // listed or full, most recently used last
	for range 50_000 {
		w := workers[random.IntN(len(workers))]
		for i, o := range used {
			if o == w {
				used = append(used[:i], used[i+1:]...)
				break
			}
		}
		if random.IntN(8) == 0 {
			r.remove(w)
			w.inFlight = 0
		} else {
			w.inFlight = random.IntN(w.places + 1)
			r.put(w)
			used = append(used, w)
		}
		var best, idlest *worker
		for i := len(used) - 1; i >= 0; i-- {
			o := used[i]
			if o.inFlight < o.places && (best == nil || o.inFlight < best.inFlight) {
				best = o
			}
			if o.inFlight == 0 {
				idlest = o
			}
		}
		require.Same(t, best, r.best())
		require.Same(t, idlest, r.idlest())
	}
}
