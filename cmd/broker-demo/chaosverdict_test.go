package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
)

// chaosKeys are the keys of chaos's line of JSON, in order.
const chaosKeys = "seed faults faults_by_kind calls answered failed lost duplicated leaked_processes leaked_descriptors leaked_goroutines leaked_threads " +
	"duration_s survived failed_by_class overdue unexpected errors workers_started workers_lost"

// zeroKeys are those that must be 0.
var zeroKeys = strings.Fields("lost duplicated leaked_processes leaked_descriptors leaked_goroutines leaked_threads overdue unexpected errors")

// good is a verdict that all is well.
func good() *chaosVerdict {
	kinds := map[string]int64{faultKill: 1, "garbage": 1, "deaf": 1}
	return &chaosVerdict{
		Seed: 7, Faults: 3, FaultsByKind: kinds, Survived: 3, survived: kinds, Duration: 1.25,
		Calls: 10, Answered: 8, Failed: 2, FailedByClass: map[string]int64{"interrupted": 2}, WorkersStarted: 6, WorkersLost: 2,
	}
}

// printed is what a verdict prints, and its exit code.
func printed(t *testing.T, v *chaosVerdict) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if err := v.print(console{stdout: &out, stderr: &errs}, true); err != nil {
		var exit *exitError
		require.ErrorAs(t, err, &exit)
		code = exit.code
	}
	return code, out.String(), errs.String()
}

func TestVerdictThatAllIsWell(t *testing.T) {
	code, stdout, stderr := printed(t, good())
	require.Equal(t, exitOK, code)
	require.Equal(t, 1, strings.Count(stdout, "\n"))
	require.Equal(t, chaosKeys, keysOf(t, stdout))
	require.Equal(t, "3 faults in 1.2 s with seed 7, 3 survived: 1 SIGKILL; 2 by hostile workers, in 2 ways\n"+
		"10 calls: 8 answered, 2 failed (2 interrupted), 0 lost, 0 duplicated\n"+
		"workers: 6 started, 2 lost\n"+
		"left behind: 0 processes, 0 descriptors, 0 goroutines, 0 threads\n"+
		"every fault was survived; nothing was lost, nothing is left\n", stderr)

	interrupted := good()
	interrupted.interrupted = true
	code, _, stderr = printed(t, interrupted)
	require.Equal(t, exitInterrupted, code)
	require.Contains(t, stderr, "interrupted; every fault was survived")
}

func TestVerdictOfAnythingThatIsNotZero(t *testing.T) {
	for _, key := range zeroKeys {
		v := good()
		require.NoError(t, json.Unmarshal([]byte(`{"`+key+`": 1}`), v))
		code, _, stderr := printed(t, v)
		require.Equal(t, exitWrong, code, key)
		require.Contains(t, stderr, "NOT ALL IS WELL: "+strings.ReplaceAll(key, "_", " ")+": 1\n")
	}
	v := good()
	v.Survived, v.survived, v.interrupted = 2, map[string]int64{faultKill: 1, "deaf": 1}, true
	code, _, stderr := printed(t, v)
	require.Equal(t, exitWrong, code, "it is wrong, whether it was interrupted or not")
	require.Contains(t, stderr, "  NOT SURVIVED: 1 garbage\n")
	require.Contains(t, stderr, "interrupted; NOT ALL IS WELL: faults not survived: 1\n")
}

func TestVerdictAddsUp(t *testing.T) {
	load, _ := newCallLog()
	load.book = *bookOf(fateAnswered, fateAnswered, fateNotSent, fateUnknown, fateOpen)
	load.failures.add(failed(broker.ClassUnavailable, broker.NotSent))
	load.failures.add(failed(broker.ClassInterrupted, broker.Unknown))
	load.unexpected.Add(1)
	load.book.end(0, fateAnswered) // again
	beside, _ := newCallLog()
	_ = beside.make(func() error { return errWrongAnswer }, transient)
	beside.overdue.Add(1)

	v := &chaosVerdict{FailedByClass: map[string]int64{}}
	v.add(load)
	v.add(beside)
	v.setLeaks(leaks{processes: 1, descriptors: 2, goroutines: 3, threads: 4})
	v.addAudit(&audit{duplicated: 2, untrue: 3, problems: []*problem{{what: "calls that are odd", first: "call 5", count: 5}}}, "/the/ledger")
	require.Equal(t, []int64{6, 2, 2}, []int64{v.Calls, v.Answered, v.Failed})
	require.EqualValues(t, 2+3, v.Lost, "one has not ended, one had a wrong answer, the ledger refutes three")
	require.EqualValues(t, 1+2, v.Duplicated)
	require.Equal(t, []int64{1, 2, 3, 4}, []int64{v.LeakedProcesses, v.LeakedDescriptors, v.LeakedGoroutines, v.LeakedThreads})
	require.Equal(t, []int64{1, 2, 1}, []int64{v.Overdue, v.Unexpected, v.Errors})
	require.Equal(t, map[string]int64{"unavailable": 1, "interrupted": 1}, v.FailedByClass)
	_, _, stderr := printed(t, v)
	require.Contains(t, stderr, "the ledger, /the/ledger, DISAGREES\n  calls that are odd: 5, such as call 5\n")
}

func TestAFaultThatIsNotSurvivedIsCountedAndReported(t *testing.T) {
	var reported []error
	thrower := &thrower{fail: func(err error) { reported = append(reported, err) }}
	thrower.survive(fault{kind: faultStop}, func() error { return nil })
	thrower.survive(fault{kind: faultStop}, func() error { return errors.New("boom") })
	require.Len(t, reported, 1)
	require.EqualError(t, reported[0], "stop was not survived: boom")
	require.Equal(t, "survived 1/2 faults, stops 1/2", thrower.counts.status())
}

func TestStatusStaysInTheTerminalsLine(t *testing.T) {
	require.Equal(t, "survived 5 faults", console{}.cut("survived 5 faults"))
	require.Equal(t, "survived 5 faults", console{terminal: true, columns: 80}.cut("survived 5 faults"))
	require.Equal(t, "surv", console{terminal: true, columns: besideStatus + 4}.cut("survived 5 faults"))
	require.Empty(t, console{terminal: true}.cut("survived 5 faults"))
}
