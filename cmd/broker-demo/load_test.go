package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
)

// loadKeys are the keys of load's line of JSON, in order.
const loadKeys = "calls seconds calls_per_s mean_us p50_us p90_us p99_us p999_us max_us cpu_us_per_call errors not_sent unknown lost duplicated " +
	"workers_started workers_lost reloads"

// decodeLoad decodes load's line of JSON.
func decodeLoad(t *testing.T, line string) (s loadSummary) {
	t.Helper()
	require.Equal(t, 1, strings.Count(line, "\n"), "exactly one line")
	require.NoError(t, json.Unmarshal([]byte(line), &s))
	return s
}

// keysOf returns the keys of an object in their order.
func keysOf(t *testing.T, object string) string {
	t.Helper()
	var keys []string
	decoder := json.NewDecoder(strings.NewReader(object))
	_, err := decoder.Token()
	require.NoError(t, err)
	for decoder.More() {
		key, err := decoder.Token()
		require.NoError(t, err)
		keys = append(keys, key.(string))
		var value json.RawMessage
		require.NoError(t, decoder.Decode(&value))
	}
	return strings.Join(keys, " ")
}

func TestLoadCountsEachCallOnceWhileWorkersAreKilled(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	code, stdout, stderr := demo(t, "load", "-workers", "2", "-callers", "8", "-kill-every", "100", "-duration", "1s", "-ledger", ledger, "-json")
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, loadKeys, keysOf(t, stdout))
	s := decodeLoad(t, stdout)
	require.Positive(t, s.Calls)
	require.Zero(t, s.Lost)
	require.Zero(t, s.Duplicated)
	require.Positive(t, s.WorkersLost)
	require.Greater(t, s.WorkersStarted, s.WorkersLost)
	require.Equal(t, s.Errors["interrupted"], s.NotSent+s.Unknown)
	require.Contains(t, stderr, "ledger: agrees; ")
	require.Contains(t, stderr, "every call ended exactly once\n")

	// The ledger once more, by other code.
	file, err := os.Open(ledger)
	require.NoError(t, err)
	defer file.Close()
	passes, err := readLedger(file)
	require.NoError(t, err)
	require.Len(t, passes, 1)
	ended := int64(0)
	for key, events := range passes[loadPass] {
		require.Equal(t, 1, events.begins, key)
		require.LessOrEqual(t, events.ends, 1, key)
		ended += int64(events.ends)
	}
	failed := int64(0)
	for _, n := range s.Errors {
		failed += n
	}
	require.GreaterOrEqual(t, ended, s.Calls-failed, "what was answered was executed")
	require.LessOrEqual(t, int64(len(passes[loadPass])), s.Calls-s.NotSent, "what was not sent was not")
}

func TestLoadNoticesNoReload(t *testing.T) {
	code, stdout, stderr := demo(t, "load", "-workers", "2", "-callers", "8", "-reload-every", "200ms", "-duration", "1500ms", "-json")
	require.Equal(t, exitOK, code, stderr)
	s := decodeLoad(t, stdout)
	require.Greater(t, s.Reloads, int64(1))
	require.GreaterOrEqual(t, s.WorkersStarted, 2+2*s.Reloads)
	require.Empty(t, s.Errors)
	require.Zero(t, s.Lost)
	require.Contains(t, stderr, fmt.Sprintf("reloads: %d, after each", s.Reloads))

	code, _, stderr = demo(t, "load", "-reload-every", "-1s")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "-reload-every -1s: give a duration such as 3s, or 0 for never")
}

func TestLoadOfIdempotentCallsIsRepeatedByTheBroker(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	code, stdout, stderr := demo(t, "load", "-workers", "2", "-callers", "4", "-kill-every", "200", "-duration", "500ms",
		"-ledger", ledger, "-idempotent", "-json")
	require.Equal(t, exitOK, code, stderr)
	s := decodeLoad(t, stdout)
	require.Empty(t, s.Errors)
	require.Zero(t, s.Lost+s.Duplicated)
}

func TestLoadOpenLoopMakesAllCallsThatWereDue(t *testing.T) {
	code, stdout, stderr := demo(t, "load", "-workers", "1", "-inflight", "4", "-rate", "200", "-duration", "300ms", "-size", "0", "-json")
	require.Equal(t, exitOK, code, stderr)
	s := decodeLoad(t, stdout)
	require.EqualValues(t, 60, s.Calls)
	require.GreaterOrEqual(t, s.Seconds, 0.29, "the last is due after 295 ms")
	require.Contains(t, stderr, "open loop of 200/s, 4 callers, 1 worker\n")
}

func TestLoadOfAnyProgramAndMethod(t *testing.T) {
	t.Setenv(asWorker, echoCrew)
	self, err := os.Executable()
	require.NoError(t, err)
	for _, flags := range [][]string{
		{"-size", "3"},
		{"-size", "100000"},
		{"-method", "sleep", "-args", "1"},
		{"-args", `{"a": [1]}`},
		{"-ledger", filepath.Join(t.TempDir(), "ledger")},
	} {
		args := append([]string{"load", "-workers", "1", "-callers", "2", "-duration", "50ms"}, flags...)
		code, stdout, stderr := demo(t, append(args, "--", self, "-argument", "of the worker")...)
		require.Equal(t, exitOK, code, "%v: %s", flags, stderr)
		require.Contains(t, stdout, "\nfailed calls: 0; retries: 0\nworkers: 1 started, 0 lost\n")
		require.Contains(t, stdout, "every call ended exactly once\n")
		require.Empty(t, stderr)
	}
}

func TestLoadEndsWithWhatFailsEachTime(t *testing.T) {
	code, stdout, stderr := demo(t, "load", "-workers", "1", "-duration", "1h", "-method", "jump", "-json")
	require.Equal(t, exitWrong, code)
	require.Contains(t, stderr, `error: load.jump: worker load/0 (pid `)
	require.Contains(t, stderr, `unknown method "jump"; the worker has echo, ledger_echo, sleep`)
	s := decodeLoad(t, stdout)
	require.Equal(t, map[string]int64{"caller": 1}, s.Errors)
	require.EqualValues(t, 1, s.NotSent)
}

func TestLoadFailsWhenCallsFail(t *testing.T) {
	code, stdout, stderr := demo(t, "load", "-workers", "1", "-duration", "50ms", "-method", "ledger_echo", "-args", `{"ledger": "/absent/ledger"}`)
	require.Equal(t, exitWrong, code)
	require.Equal(t, 1, strings.Count(stderr, "open ledger"), "the first of each class is printed: %s", stderr)
	require.Contains(t, stdout, " remote (0 not executed, 0 may have been executed)")
}

func TestLoadWithoutAWorker(t *testing.T) {
	tests := []struct {
		command string
		want    string
	}{
		{"/absent/program", `start "/absent/program": no such file or directory`},
		{"/", `start "/": `},
	}
	for _, test := range tests {
		code, stdout, stderr := demo(t, "load", "-workers", "2", "-duration", "1h", "-json", "--", test.command, "x")
		require.Equal(t, exitWrong, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, test.want)
		require.Contains(t, stderr, fmt.Sprintf("is [%q \"x\"] a worker program?", test.command))
	}
}

// startLoad runs a load of one worker by these options until it has ended.
func startLoad(t *testing.T, o loadOptions, pool broker.PoolOptions, signals <-chan os.Signal) (stdout, stderr string, err error) {
	t.Helper()
	o.crewOptions, o.callers = oneWorker, 1
	crew, err := newCrew("load", pool)
	require.NoError(t, err)
	var out, errs bytes.Buffer
	err = runLoad(o, console{stdout: &out, stderr: &errs}, crew, signals, func() {})
	return out.String(), errs.String(), err
}

func TestLoadInterrupted(t *testing.T) {
	tests := []struct {
		name    string
		signals int
		stderr  string
		lines   int // on stdout
	}{
		{"once drains", 1, "interrupted; every call ended exactly once", 1},
		{"twice ends at once", 2, "interrupted: finishing the calls under way", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			signals := make(chan os.Signal, 2)
			for range test.signals {
				signals <- os.Interrupt
			}
			o := loadOptions{method: echoMethod, duration: time.Hour}
			stdout, stderr, err := startLoad(t, o, o.withWorkers(1).pool(), signals)
			var exit *exitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, exitInterrupted, exit.code)
			require.Contains(t, stderr, test.stderr)
			require.Equal(t, test.lines, strings.Count(stdout, "\n"))
		})
	}
}

func (o loadOptions) withWorkers(n int) *loadOptions {
	o.workers, o.inFlight, o.callers = n, 1, n
	return &o
}

// freeze has a worker of the crew "crash" stop for good, in the middle of its call: SIGSTOP.
const freeze = `{"signal": 19}`

func TestLoadDoesNotWaitForAFrozenWorkerWhenForced(t *testing.T) {
	args, err := encodeJSON(freeze)
	require.NoError(t, err)
	signals := make(chan os.Signal, 2)
	o := loadOptions{method: "kill", argsJSON: freeze, args: args, duration: time.Hour}
	time.AfterFunc(200*time.Millisecond, func() { // the call is under way, or not yet: either way nobody waits
		signals <- os.Interrupt
		signals <- os.Interrupt
	})
	start := time.Now()
	_, _, err = startLoad(t, o, broker.PoolOptions{Command: broker.Self("crash"), Min: 1, Max: 1}, signals)
	require.EqualError(t, err, "ended at once; the run is incomplete")
	require.Less(t, time.Since(start), 4*time.Second, "the grace of a worker that is asked is 5 s")
}

func TestLoadInterruptedWhileItsWorkerStarts(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signals <- os.Interrupt
	o := loadOptions{method: echoMethod, duration: time.Hour}
	stdout, _, err := startLoad(t, o, broker.PoolOptions{Command: broker.Command{Path: "sleep", Args: []string{"3600"}}, Min: 1, Max: 1}, signals)
	var exit *exitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, exitInterrupted, exit.code)
	require.Zero(t, decodeLoad(t, stdout).Calls)
}

func TestLoadCountsWhatTheLedgerFindsExecutedTwice(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	require.NoError(t, os.WriteFile(ledger, []byte("begin 1 0 70\nbegin 1 0 71\nend 1 0 71\n"), 0o666))
	for _, idempotent := range []bool{false, true} {
		r := &loadRun{session: &session{crew: memoryCrew(t, 0)}, options: loadOptions{idempotent: idempotent}}
		r.options.ledger = ledger
		r.book.end(r.book.begin(), fateAnswered)
		var s loadSummary
		r.finish(&s)
		require.Equal(t, !idempotent, s.Duplicated == 1)
		require.Equal(t, !idempotent, s.wrong())
		require.NoError(t, r.crew.close())
	}
}

func TestWhoseAnswerItIs(t *testing.T) {
	payload := func(number int64, size int) []byte {
		p := newPayload(size)
		setNumber(p, number)
		return p
	}
	tests := []struct {
		name         string
		sent, answer []byte
		number       int64
		err          error
	}{
		{"its own", payload(5, 64), payload(5, 64), 5, nil},
		{"another's", payload(5, 64), payload(6, 64), 6, errWrongAnswer},
		{"nobody's", payload(5, 64), append(payload(6, 63), 'x'), 5, errWrongAnswer},
		{"half", payload(5, 64), payload(5, 63), 5, errWrongAnswer},
		{"none", payload(5, 64), nil, 5, errWrongAnswer},
		{"empty", payload(5, 0), []byte{}, 5, nil},
		{"without room for a number", payload(5, 7), payload(6, 7), 5, nil},
		{"without a number and wrong", payload(5, 3), []byte("abc"), 5, errWrongAnswer},
	}
	for _, test := range tests {
		number, err := answeredNumber(5, test.sent, test.answer)
		require.Equal(t, test.number, number, test.name)
		require.True(t, errors.Is(err, test.err), test.name)
	}
}

func TestAnAnswerToAnotherCallIsFound(t *testing.T) {
	b := bookOf(fateOpen, fateOpen)
	b.end(1, fateFailed) // by the caller of 0
	b.end(1, fateAnswered)
	begun, ended, duplicated := b.totals()
	require.Equal(t, []int64{2, 1, 1}, []int64{begun, ended, duplicated}, "one is lost, one duplicated")
}
