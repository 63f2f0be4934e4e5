package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// tally is a total of word counts. The zero tally is empty and ready; any
// number of goroutines may add to it.
type tally struct {
	mu    sync.Mutex
	words map[string]int
}

// add adds counts to the total.
func (t *tally) add(counts map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.words == nil {
		t.words = make(map[string]int, len(counts))
	}
	for word, n := range counts {
		t.words[word] += n
	}
}

// total returns the counts added up so far. Nobody may add any more.
func (t *tally) total() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.words
}

// sum returns the number of words in counts, each as often as it occurs.
func sum(counts map[string]int) int64 {
	var n int64
	for _, count := range counts {
		n += int64(count)
	}
	return n
}

// wordCount is a word and how often it occurs.
type wordCount struct {
	word  string
	count int
}

// top returns the n most frequent words; of equally frequent ones, the first by alphabet.
func top(counts map[string]int, n int) []wordCount {
	all := make([]wordCount, 0, len(counts))
	for word, count := range counts {
		all = append(all, wordCount{word, count})
	}
	slices.SortFunc(all, func(a, b wordCount) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.word, b.word))
	})
	return all[:min(n, len(all))]
}

// difference describes how the workers' counts differ from those made in
// process, and is empty when they are equal.
func difference(workers, inProcess map[string]int) string {
	var words []string
	for word, n := range inProcess {
		if workers[word] != n {
			words = append(words, word)
		}
	}
	for word := range workers {
		if _, ok := inProcess[word]; !ok {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return ""
	}
	first := slices.Min(words)
	return fmt.Sprintf("%d of %d words differ, such as %q: %d by workers, %d in process",
		len(words), len(inProcess), first, workers[first], inProcess[first])
}
