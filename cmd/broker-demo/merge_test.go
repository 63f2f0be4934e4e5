package main

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTallyAddsUp(t *testing.T) {
	var total tally
	require.Empty(t, total.total())
	var adders sync.WaitGroup
	for range 8 {
		adders.Go(func() { // ends when it has added
			for range 100 {
				total.add(map[string]int{"a": 1, "b": 2})
			}
		})
	}
	adders.Wait()
	require.Equal(t, map[string]int{"a": 800, "b": 1600}, total.total())
	require.EqualValues(t, 2400, sum(total.total()))
}

func TestTallyDoesNotKeepWhatItIsGiven(t *testing.T) {
	var total tally
	first := map[string]int{"a": 1}
	total.add(first)
	total.add(first)
	require.Equal(t, map[string]int{"a": 1}, first)
}

func TestTop(t *testing.T) {
	counts := map[string]int{"c": 1, "a": 1, "b": 3, "d": 1}
	require.Equal(t, []wordCount{{"b", 3}, {"a", 1}, {"c", 1}}, top(counts, 3))
	require.Len(t, top(counts, 20), 4)
	require.Empty(t, top(nil, 20))
}

func TestDifference(t *testing.T) {
	tests := []struct {
		name               string
		workers, inProcess map[string]int
		want               string
	}{
		{"both empty", nil, map[string]int{}, ""},
		{"equal", map[string]int{"a": 1}, map[string]int{"a": 1}, ""},
		{"counted twice", map[string]int{"a": 2, "b": 1}, map[string]int{"a": 1, "b": 1}, `1 of 2 words differ, such as "a": 2 by workers, 1 in process`},
		{"missing", map[string]int{"b": 1}, map[string]int{"a": 1, "b": 1}, `1 of 2 words differ, such as "a": 0 by workers, 1 in process`},
		{"invented", map[string]int{"a": 1, "x": 1}, map[string]int{"a": 1}, `1 of 1 words differ, such as "x": 1 by workers, 0 in process`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, difference(test.workers, test.inProcess))
		})
	}
}
