package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/testworkers/index/wordcount"
)

// corpus writes files that between them hold what a walk can meet, and returns
// their directory, the keys of their pieces and the counts of their words.
func corpus(t *testing.T, texts int) (root string, pieces []string, words map[string]int) {
	t.Helper()
	files := map[string]string{
		"large.txt":  strings.Repeat("Große Wörter, small words. ", 3*pieceLimit/29),
		"empty.txt":  "",
		"binary.bin": "MZ\x00\x01",
		"latin1.txt": "h\xe4\xdflich",
	}
	for i := range texts {
		files[fmt.Sprintf("d%d/f %d.txt", i%5, i)] = strings.Repeat(fmt.Sprintf("Text number %d of many.\n", i), 1+i%50)
	}
	root = writeFiles(t, files)

	var total tally
	cutter := newCutter(pieceLimit)
	for name, text := range files {
		if ok, err := isText(strings.NewReader(text)); err != nil || !ok {
			continue
		}
		total.add(wordcount.Count([]byte(text)))
		for i := range cutAll(t, cutter, strings.NewReader(text)) {
			pieces = append(pieces, pieceKey(name, i))
		}
	}
	return root, pieces, total.total()
}

// oneWorker is what the flags "-workers 1 -json" say.
var oneWorker = crewOptions{workers: 1, inFlight: 1, json: true}

// demo runs the command line in this process and returns what it printed.
func demo(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(args, console{stdout: &out, stderr: &err})
	return code, out.String(), err.String()
}

func decode(t *testing.T, line string) (s summary) {
	t.Helper()
	require.Equal(t, 1, strings.Count(line, "\n"), "exactly one line")
	require.NoError(t, json.Unmarshal([]byte(line), &s))
	return s
}

func TestRunIsExactWhileWorkersAreKilled(t *testing.T) {
	const texts, every = 300, 20
	root, pieces, words := corpus(t, texts)
	ledger := filepath.Join(t.TempDir(), "ledger")
	code, stdout, stderr := demo(t, "run", "-workers", "2", "-inflight", "2", "-kill-every", fmt.Sprint(every), "-verify", "-json", "-ledger", ledger, root)
	require.Equal(t, exitOK, code, stderr)

	s := decode(t, stdout)
	require.EqualValues(t, texts+2, s.Files)
	require.EqualValues(t, len(pieces), s.Calls)
	require.Equal(t, sum(words), s.Words)
	require.Zero(t, s.Errors)
	require.True(t, s.Verified)
	kills := int64((texts + 2) / every)
	require.GreaterOrEqual(t, s.WorkersLost, kills-2, "the last kills may find nobody or come with the end")
	require.GreaterOrEqual(t, s.WorkersStarted, s.WorkersLost)
	require.Contains(t, stderr, "verified: equal to the count made in process")
	require.Contains(t, stderr, "files left out: 2 not text, 0 unreadable")

	file, err := os.Open(ledger)
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, checkLedger(file, pieces, 1, s.Retries))
}

func TestRunPrintsTheTopWords(t *testing.T) {
	root := writeFiles(t, map[string]string{"a": "the cat the dog", "b": "The END"})
	code, stdout, stderr := demo(t, "run", "-workers", "1", root)
	require.Equal(t, exitOK, code, stderr)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "  3 the\n  1 cat\n  1 dog\n  1 end\n\n1 pass: 2 files, 0.0 MiB, 6 words in ")
	require.Contains(t, stdout, "calls: 2, 0 of them failed; retries: 0\nworkers: 1 started, 0 lost\n")
	require.Contains(t, stdout, "not verified (see -verify)\n")
}

func TestRunRepeats(t *testing.T) {
	root := writeFiles(t, map[string]string{"a": "one two", "b": "two"})
	ledger := filepath.Join(t.TempDir(), "ledger")
	code, stdout, stderr := demo(t, "run", "-workers", "1", "-for", "200ms", "-verify", "-json", "-ledger", ledger, root)
	require.Equal(t, exitOK, code, stderr)
	s := decode(t, stdout)
	passes := s.Files / 2
	require.Greater(t, passes, int64(1))
	require.Equal(t, 3*passes, s.Words, "every pass is counted")
	require.GreaterOrEqual(t, s.Seconds, 0.2)
	require.True(t, s.Verified)

	file, err := os.Open(ledger)
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, checkLedger(file, []string{"a#0", "b#0"}, int(passes), s.Retries))
}

func TestRunOfNothing(t *testing.T) {
	root := t.TempDir()
	code, stdout, stderr := demo(t, "run", "-for", "1h", "-verify", "-json", root)
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, stderr, "warning: no text file in "+root)
	s := decode(t, stdout)
	require.Zero(t, s.WorkersStarted, "no call, no worker")
}

func TestRunFailsWhenCallsFail(t *testing.T) {
	crew, err := newIndexCrew("echo", 1, 1) // workers that know no method of the name
	require.NoError(t, err)
	root := writeFiles(t, map[string]string{"a": "x", "b": "y"})
	var out, errs bytes.Buffer
	o := runOptions{root: root, crewOptions: oneWorker, verify: true}
	err = runIndex(o, console{stdout: &out, stderr: &errs}, crew, nil, func() {})

	var exit *exitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, exitWrong, exit.code)
	s := decode(t, out.String())
	require.EqualValues(t, 2+1, s.Errors, "two calls and a pass")
	require.Zero(t, s.Files)
	require.False(t, s.Verified)
	require.Contains(t, errs.String(), "error: a#0: ")
	require.Contains(t, errs.String(), "errors: 3; NOT EQUAL")
}

func TestRunGivesUpAfterManyFailures(t *testing.T) {
	crew, err := newIndexCrew("echo", 1, 1)
	require.NoError(t, err)
	var out, errs bytes.Buffer
	o := runOptions{root: manyFiles(t, 5*maxFailures), crewOptions: oneWorker}
	err = runIndex(o, console{stdout: &out, stderr: &errs}, crew, nil, func() {})
	require.Error(t, err)
	s := decode(t, out.String())
	require.GreaterOrEqual(t, s.Errors, int64(maxFailures))
	require.Less(t, s.Errors, int64(3*maxFailures))
	require.Contains(t, errs.String(), fmt.Sprintf("giving up after %d failed calls", maxFailures))
	require.Equal(t, maxReported, strings.Count(errs.String(), "#0: "))
}

func TestRunInterrupted(t *testing.T) {
	tests := []struct {
		name    string
		signals int
		stderr  string
		lines   int // on stdout
	}{
		{"once drains", 1, "interrupted, incomplete; ", 1},
		{"twice ends at once", 2, "interrupted: finishing", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root, _, _ := corpus(t, 50)
			signals := make(chan os.Signal, 2)
			for range test.signals {
				signals <- os.Interrupt
			}
			var out, errs bytes.Buffer
			o := runOptions{root: root, crewOptions: oneWorker, verify: true}
			crew, err := newIndexCrew("index", 1, 1)
			require.NoError(t, err)
			err = runIndex(o, console{stdout: &out, stderr: &errs}, crew, signals, func() {})
			var exit *exitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, exitInterrupted, exit.code)
			require.Contains(t, errs.String(), test.stderr)
			require.Equal(t, test.lines, strings.Count(out.String(), "\n"))
		})
	}
}
