package pool

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQueue_FirstComeFirstServedAndRetriedBeforeAll(t *testing.T) {
	q := queue{bound: 10}
	a, b := q.join(false), q.join(false)
	r, s := q.join(true), q.join(true)
	c := q.join(false)
	require.Equal(t, 5, q.length())
	for _, want := range []*waiter{r, s, a, b, c} {
		require.Same(t, want, q.pop())
	}
	require.Nil(t, q.pop())
	require.Zero(t, q.length())
}

func TestQueue_Bound(t *testing.T) {
	q := queue{bound: 2}
	require.NotNil(t, q.join(false))
	require.NotNil(t, q.join(false))
	require.Nil(t, q.join(false), "a newcomer beyond the bound")
	require.NotNil(t, q.join(true), "a retried call had its place before")

	none := queue{bound: -1}
	require.Nil(t, none.join(false))
	require.Nil(t, none.join(true))
}

func TestQueue_LeaveTellsWhetherTheFateIsDecided(t *testing.T) {
	q := queue{bound: 10}
	a, b := q.join(false), q.join(false)
	require.Same(t, a, q.pop())
	require.False(t, q.leave(a), "a has been popped: its fate is another's to decide")
	require.True(t, q.leave(b))
	require.False(t, q.leave(b))
	require.Nil(t, q.pop())
}

func TestQueue_DropKeepsTheOrder(t *testing.T) {
	q := queue{bound: 10}
	a, b, r := q.join(false), q.join(false), q.join(true)
	var got []*waiter
	for w := q.drop(); w != nil; w = w.next {
		require.False(t, q.leave(w))
		got = append(got, w)
	}
	require.Equal(t, []*waiter{r, a, b}, got)
	require.Zero(t, q.length())
}

func TestQueue_UsesWaitersAgain(t *testing.T) {
	q := queue{bound: 10}
	known := make(map[*waiter]bool)
	for range 100 {
		w := q.join(false)
		require.NoError(t, w.err)
		require.Nil(t, w.worker)
		known[w] = true
		q.pop()
		w.err, w.worker = ErrClosed, new(worker)
		q.recycle(w)
	}
	require.Less(t, len(known), 100) // the race detector has a sync.Pool forget some
}

// TestQueue_Random compares the queue with two slices.
func TestQueue_Random(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	q := queue{bound: 8}
	var retried, waiting []*waiter
	for range 20_000 {
		switch random.IntN(4) {
		case 0:
			if w := q.join(true); w != nil {
				retried = append(retried, w)
			}
		case 1:
			w := q.join(false)
			require.Equal(t, len(waiting) < 8, w != nil)
			if w != nil {
				waiting = append(waiting, w)
			}
		case 2:
			w := q.pop()
			switch {
			case len(retried) > 0:
				require.Same(t, retried[0], w)
				retried = retried[1:]
			case len(waiting) > 0:
				require.Same(t, waiting[0], w)
				waiting = waiting[1:]
			default:
				require.Nil(t, w)
			}
			if w != nil {
				q.recycle(w)
			}
		case 3:
			if all := slices.Concat(retried, waiting); len(all) > 0 {
				w := all[random.IntN(len(all))]
				require.True(t, q.leave(w))
				retried = slices.DeleteFunc(retried, func(o *waiter) bool { return o == w })
				waiting = slices.DeleteFunc(waiting, func(o *waiter) bool { return o == w })
				q.recycle(w)
			}
		}
		require.Equal(t, len(retried)+len(waiting), q.length())
	}
}
