package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/testworkers/handlers"
	"github.com/stdcrew/stdcrew/testworkers/index/wordcount"
)

// script records what a pass does, and answers its calls in process.
type script struct {
	count counters
	index indexFunc // zero: answers rightly

	mu                       sync.Mutex
	keys, warnings, failures []string
	done                     int
}

func answer(_ context.Context, in handlers.IndexInput) (handlers.IndexOutput, error) {
	return handlers.IndexOutput{Words: wordcount.Count(in.Text), Bytes: len(in.Text)}, nil
}

func (s *script) plan(root string) plan {
	record := func(list *[]string, line string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		*list = append(*list, line)
	}
	if s.index == nil {
		s.index = answer
	}
	return plan{
		root: root, callers: 3, readers: 2, verify: true, count: &s.count,
		index: func(ctx context.Context, in handlers.IndexInput) (handlers.IndexOutput, error) {
			record(&s.keys, fmt.Sprintf("%d %s", in.Pass, in.Key))
			return s.index(ctx, in)
		},
		fileDone: func() { s.mu.Lock(); defer s.mu.Unlock(); s.done++ },
		warn:     func(name string, _ error) { s.count.unreadable.Add(1); record(&s.warnings, name) },
		failed:   func(key string, err error) { s.count.failed.Add(1); record(&s.failures, key+": "+err.Error()) },
	}
}

// manyFiles writes n small texts.
func manyFiles(t *testing.T, n int) string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("d%d/f%03d.txt", i%7, i)] = fmt.Sprintf("file number %d of many many files", i)
	}
	return writeFiles(t, files)
}

func TestPassCountsEveryPieceOnce(t *testing.T) {
	root := writeFiles(t, map[string]string{
		"a.txt":       "one two two",
		"empty":       "",
		"binary":      "one\x00two",
		"sub/b c.txt": strings.Repeat("word ", pieceLimit/5+1), // two pieces
	})
	s := &script{}
	p := newPass(s.plan(root), 7)
	require.NoError(t, p.run(context.Background(), context.Background()))

	require.Equal(t, map[string]int{"one": 1, "two": 2, "word": pieceLimit/5 + 1}, p.byWorkers.total())
	require.Empty(t, p.verdict())
	slices.Sort(s.keys)
	require.Equal(t, []string{"7 a.txt#0", "7 sub/b%20c.txt#0", "7 sub/b%20c.txt#1"}, s.keys)
	require.EqualValues(t, 3, s.count.files.Load())
	require.EqualValues(t, 3, s.count.calls.Load())
	require.EqualValues(t, 1, s.count.skipped.Load())
	require.EqualValues(t, 4, s.count.looked())
	require.EqualValues(t, 11+5*(pieceLimit/5+1), s.count.bytes.Load())
	require.Equal(t, 3, s.done)
}

func TestPassSeesWorkersThatCountWrongly(t *testing.T) {
	s := &script{index: func(ctx context.Context, in handlers.IndexInput) (handlers.IndexOutput, error) {
		out, err := answer(ctx, in)
		if in.Key == "b#0" {
			out.Words["extra"]++
		}
		return out, err
	}}
	p := newPass(s.plan(writeFiles(t, map[string]string{"a": "x", "b": "y"})), 1)
	require.NoError(t, p.run(context.Background(), context.Background()))
	require.Equal(t, `1 of 2 words differ, such as "extra": 1 by workers, 0 in process`, p.verdict())
}

func TestPassGoesOnAfterFailedCalls(t *testing.T) {
	s := &script{index: func(ctx context.Context, in handlers.IndexInput) (handlers.IndexOutput, error) {
		switch in.Key {
		case "b#0":
			return handlers.IndexOutput{}, errors.New("gone")
		case "c#0":
			return handlers.IndexOutput{Bytes: 1}, nil
		}
		return answer(ctx, in)
	}}
	p := newPass(s.plan(writeFiles(t, map[string]string{"a": "x", "b": "y", "c": "zzz", "d": "x"})), 1)
	require.NoError(t, p.run(context.Background(), context.Background()))
	require.ElementsMatch(t, []string{"b#0: gone", "c#0: the worker counted 1 of 3 bytes"}, s.failures)
	require.Equal(t, map[string]int{"x": 2}, p.byWorkers.total())
	require.EqualValues(t, 2, s.count.files.Load(), "a file with a failed piece is not done")
	require.EqualValues(t, 4, s.count.calls.Load())
	require.NotEmpty(t, p.verdict())
}

func TestPassReturnsTheRootsError(t *testing.T) {
	p := newPass((&script{}).plan(t.TempDir()+"/absent"), 1)
	require.ErrorContains(t, p.run(context.Background(), context.Background()), "absent")
}

func TestPassMakesNoMoreCallsAtATimeThanCallers(t *testing.T) {
	var now, most atomic.Int64
	all := make(chan struct{})
	var once sync.Once
	s := &script{}
	s.index = func(ctx context.Context, in handlers.IndexInput) (handlers.IndexOutput, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		if now.Load() == 3 {
			once.Do(func() { close(all) })
		}
		<-all // the first ones wait until every caller is here
		return answer(ctx, in)
	}
	p := newPass(s.plan(manyFiles(t, 60)), 1)
	require.NoError(t, p.run(context.Background(), context.Background()))
	require.EqualValues(t, 3, most.Load())
	require.Empty(t, p.verdict())
}

func TestPassDrains(t *testing.T) {
	const files = 500
	drain, end := context.WithCancel(context.Background())
	s := &script{}
	s.index = func(ctx context.Context, in handlers.IndexInput) (handlers.IndexOutput, error) {
		end() // from the first call on, no further file is opened
		return answer(ctx, in)
	}
	p := newPass(s.plan(manyFiles(t, files)), 1)
	require.NoError(t, p.run(drain, context.Background()))

	done := s.count.files.Load()
	require.Positive(t, done)
	require.Less(t, done, int64(files/2))
	require.EqualValues(t, done, s.count.calls.Load(), "what was opened is finished")
	require.Empty(t, s.failures)
	require.Empty(t, p.verdict(), "also half a pass is equal")
}

func TestPassEndsAtOnceWhenForced(t *testing.T) {
	force, end := context.WithCancel(context.Background())
	drain, cancel := context.WithCancel(force)
	defer cancel()
	s := &script{}
	s.index = func(ctx context.Context, _ handlers.IndexInput) (handlers.IndexOutput, error) {
		end()
		<-ctx.Done()
		return handlers.IndexOutput{}, ctx.Err()
	}
	p := newPass(s.plan(manyFiles(t, 100)), 1)
	require.NoError(t, p.run(drain, force))
	require.LessOrEqual(t, s.count.calls.Load(), int64(3), "what waited was dropped")
	require.Zero(t, s.count.files.Load())
}
