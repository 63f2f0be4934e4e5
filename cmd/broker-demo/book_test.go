package main

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBookKnowsEveryCall(t *testing.T) {
	var b book
	for n := range int64(4) {
		require.Equal(t, n, b.begin())
	}
	b.end(2, fateAnswered)
	b.end(0, fateNotSent)
	b.end(3, fateUnknown)
	for n, want := range []fate{fateNotSent, fateOpen, fateAnswered, fateUnknown, fateNone} {
		require.Equal(t, want, b.fate(int64(n)))
	}
	begun, ended, duplicated := b.totals()
	require.Equal(t, []int64{4, 3, 0}, []int64{begun, ended, duplicated})
}

func TestBookFindsDuplicates(t *testing.T) {
	var b book
	b.begin()
	b.end(0, fateAnswered)
	for i, n := range []int64{0, 1, -1, 1 << 40} {
		b.end(n, fateUnknown)
		begun, ended, duplicated := b.totals()
		require.Equal(t, []int64{1, 1, int64(i + 1)}, []int64{begun, ended, duplicated})
	}
	require.Equal(t, fateAnswered, b.fate(0), "the first end counts")
	require.Equal(t, fateNone, b.fate(-1))
}

func TestBookGrowsUnderManyCallers(t *testing.T) {
	const callers, each = 4, pageCalls/2 + 10
	var b book
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				b.end(b.begin(), fateAnswered)
			}
		})
	}
	wg.Wait()
	begun, ended, duplicated := b.totals()
	require.EqualValues(t, callers*each, begun)
	require.EqualValues(t, callers*each, ended)
	require.Zero(t, duplicated)
	require.Len(t, b.pages, 3)
	require.Equal(t, fateAnswered, b.fate(begun-1))
}
