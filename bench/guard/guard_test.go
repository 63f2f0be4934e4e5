package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/bench/internal/placement"
	"github.com/stdcrew/stdcrew/bench/internal/report"
)

var (
	crowd = target{subject{"64B/c256/w8/f1", placement.Free}, []string{p50, cpu, rate}}
	lone  = target{subject{"64B/c1/w1/f1", placement.Pinned}, []string{p50}}
)

// script is a measurer that returns one measurement after the other, and notes how long each was.
type script struct {
	results []measurement
	rounds  []int
}

func (s *script) measure(_ subject, rounds int) (measurement, error) {
	if len(s.results) == 0 {
		return measurement{}, errors.New("one measurement more than expected")
	}
	m := s.results[0]
	s.results, s.rounds = s.results[1:], append(s.rounds, rounds)
	return m, nil
}

func one(ratio float64) measurement { return measurement{ratios: ratios{p50: ratio}} }

func (m measurement) beside(others float64) measurement {
	m.others = others
	return m
}

func TestVerdicts(t *testing.T) {
	const noise = 0.5 // CPUs that others use
	overrun := float64(runtime.NumCPU())
	for name, c := range map[string]struct {
		of       target
		measured []measurement
		word     string
		failed   bool
		rounds   []int // in terms of a first measurement
	}{
		"as before":                     {lone, []measurement{one(2)}, "ok", false, []int{1}},
		"at the limit":                  {lone, []measurement{one(2.5)}, "ok", false, []int{1}},
		"worse twice":                   {lone, []measurement{one(2.6), one(2.7)}, "WORSE (attempt 2)", true, []int{1, 2}},
		"worse by chance":               {lone, []measurement{one(9), one(2.4)}, "ok (attempt 2)", false, []int{1, 2}},
		"better":                        {lone, []measurement{one(1.4)}, "better", false, []int{1}},
		"a little better":               {lone, []measurement{one(1.6)}, "ok", false, []int{1}},
		"pinned, others elsewhere":      {lone, []measurement{one(2).beside(overrun - 1)}, "ok", false, []int{1}},
		"pinned, others on its core":    {lone, []measurement{one(9).beside(overrun), one(9), one(9)}, "WORSE (attempt 3)", true, []int{1, 1, 2}},
		"free, others always":           {crowd, []measurement{one(2).beside(noise), one(9).beside(noise)}, "not judged: others used 0.5 CPUs (attempt 2)", false, []int{1, 1}},
		"free, others at first":         {crowd, []measurement{one(2).beside(noise), one(2)}, "ok (attempt 2)", false, []int{1, 1}},
		"free, others but once":         {crowd, []measurement{one(9).beside(noise), one(9), one(9).beside(noise)}, "not judged: others used 0.5 CPUs (attempt 3)", false, []int{1, 1, 2}},
		"free, others between":          {crowd, []measurement{one(9), one(2).beside(noise), one(9)}, "WORSE (attempt 3)", true, []int{1, 2, 2}},
		"free, better as others are on": {crowd, []measurement{one(1).beside(noise), one(1).beside(noise)}, "not judged: others used 0.5 CPUs (attempt 2)", false, []int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := script{results: c.measured}
			verdicts, err := c.of.judge(ratios{p50: 2}, s.measure)
			require.NoError(t, err)
			require.Len(t, verdicts, 1)
			require.Equal(t, c.word, verdicts[0].word())
			require.Equal(t, c.failed, verdicts[0].failed())
			require.Empty(t, s.results)
			for i := range c.rounds {
				c.rounds[i] *= rounds
			}
			require.Equal(t, c.rounds, s.rounds)
		})
	}
}

// What was fine at first is not judged again with what was not: each further look would be one more chance to be wrong.
func TestOnlyWhatWasWorseIsJudgedAgain(t *testing.T) {
	s := script{results: []measurement{{ratios: ratios{cpu: 1, rate: 0.5}}, {ratios: ratios{cpu: 9, rate: 0.6}}}}
	verdicts, err := crowd.judge(ratios{cpu: 1, rate: 0.8}, s.measure)
	require.NoError(t, err)
	require.Equal(t, "ok", verdicts[0].word())
	require.Equal(t, "WORSE (attempt 2)", verdicts[1].word(), "a third more time for each call")
	require.EqualError(t, conclude(verdicts), "worse than recorded by more than 25 %, measured twice: 64B/c256/w8/f1 free calls/s (+33 %)")
	require.NoError(t, conclude(verdicts[:1]))
}

func TestOtherFiguresThanRecorded(t *testing.T) {
	s := script{results: []measurement{{ratios: ratios{p50: 1, mean: 1}}, {ratios: ratios{p50: 1, mean: 1}}}}
	_, err := crowd.judge(ratios{p50: 1, cpu: 1}, s.measure)
	require.EqualError(t, err, "64B/c256/w8/f1 free: recorded are [CPU p50], judged [p50]: "+remedy)
	_, err = crowd.judge(ratios{}, s.measure)
	require.EqualError(t, err, "64B/c256/w8/f1 free: recorded are [], judged [p50]: "+remedy)
}

func TestKnown(t *testing.T) {
	require.Equal(t, ratios{p50: 1, mean: 2, cpu: 4, rate: 5}, known(gauge.Ratios{P50: 1, Mean: 2, P99: 3, CPU: 4, Rate: 5}))
	require.Equal(t, ratios{rate: 5}, known(gauge.Ratios{Rate: 5}), "of a crowd, where no other process's CPU time can be known")
}

// here are the machines that tests run on.
func here(cpus int) report.Machine {
	return report.Machine{OS: "plan9/mips", CPUs: cpus, Go: "go1", CPU: "abacus"}
}

func entryFor(t target, ratio float64) entry {
	return entry{subject: t.subject, Ratios: ratios{p50: ratio}}
}

func TestRecordsAreOfOneKindOfMachine(t *testing.T) {
	targets := []target{lone, crowd}
	_, err := records(nil).of(here(2), targets)
	require.EqualError(t, err, "nothing is recorded yet: "+remedy)

	all := records(nil).with(record{here(4), []entry{entryFor(lone, 4), entryFor(crowd, 4)}})
	_, err = all.of(here(2), targets)
	require.EqualError(t, err, "nothing is recorded for plan9/mips with 2 CPUs, and what is for plan9/mips with 4 CPUs does not hold here: "+remedy)

	all = all.with(record{here(2), []entry{entryFor(lone, 1), entryFor(crowd, 1)}}).with(record{here(2), []entry{entryFor(lone, 2), entryFor(crowd, 2)}})
	require.Len(t, all, 2)
	for cpus, ratio := range map[int]float64{2: 2, 4: 4} {
		r, err := all.of(here(cpus), targets)
		require.NoError(t, err)
		require.Equal(t, ratio, r.Entries[0].Ratios[p50])
	}
	_, err = all.of(here(2), []target{lone})
	require.EqualError(t, err, "recorded are [64B/c1/w1/f1 pinned 64B/c256/w8/f1 free], guarded [64B/c1/w1/f1 pinned]: "+remedy)
}

func TestARecordIsTheMedianOfRuns(t *testing.T) {
	s := script{results: []measurement{one(2), one(1.23456), one(1.2)}}
	r, err := measureRecord(s.measure, []target{lone}, here(2))
	require.NoError(t, err)
	require.Equal(t, ratios{p50: 1.235}, r.Entries[0].Ratios)
	require.EqualError(t, r.steady(), "not recorded: p50 of 64B/c1/w1/f1 pinned differs by +67 % from run to run; try again when the machine is quiet")

	s = script{results: []measurement{one(1.2), one(1.1), one(1.3)}}
	r, err = measureRecord(s.measure, []target{lone}, here(2))
	require.NoError(t, err)
	require.NoError(t, r.steady())

	s = script{results: []measurement{one(9).beside(1), one(1), one(1), one(9).beside(1), one(9).beside(1), one(1)}}
	r, err = measureRecord(s.measure, []target{crowd}, here(2))
	require.NoError(t, err)
	require.Equal(t, ratios{p50: 1}, r.Entries[0].Ratios)

	s = script{results: slices.Repeat([]measurement{one(1).beside(1)}, patience)}
	_, err = measureRecord(s.measure, []target{crowd}, here(2))
	require.EqualError(t, err, "not recorded: others used 1.0 CPUs during 64B/c256/w8/f1 free; try again when the machine is quiet")
}

// steadily measures 1 of everything but of the lone caller, placed freely: pinned ones are left out where processes cannot be pinned.
func steadily(ratio float64) measurer {
	return func(s subject, _ int) (measurement, error) {
		all := ratios{p50: 1, mean: 1, cpu: 1, rate: 1}
		if s == (subject{lone.Workload, placement.Free}) {
			all[p50] = ratio
		}
		return measurement{ratios: all}, nil
	}
}

func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "guard.json")
	var out bytes.Buffer
	require.ErrorContains(t, run(steadily(1), nil, false, &out), "give the file")
	require.EqualError(t, run(steadily(1), []string{file}, false, &out), "nothing is recorded yet: "+remedy)
	require.NoError(t, run(steadily(1), []string{file}, true, &out))
	require.Contains(t, out.String(), "runs differ by")

	out.Reset()
	require.NoError(t, run(steadily(1.2), []string{file}, false, &out))
	require.Contains(t, out.String(), "+20 %")
	require.NotContains(t, out.String(), "here it is", "it is the same machine")
	out.Reset()
	require.NoError(t, run(steadily(0.5), []string{file}, false, &out))
	require.Contains(t, out.String(), "make bench-record", "the record is slack")
	out.Reset()
	require.EqualError(t, run(steadily(1.3), []string{file}, false, &out), "worse than recorded by more than 25 %, measured twice: 64B/c1/w1/f1 free p50 (+30 %)")
	require.Contains(t, out.String(), "WORSE (attempt 2)", "the table comes all the same")

	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	require.ErrorContains(t, run(steadily(1), []string{file}, false, &out), file)
	require.ErrorContains(t, run(steadily(1), []string{t.TempDir()}, false, &out), "is a directory")
}

func TestWhatIsNotJudgedIsSaid(t *testing.T) {
	busy := script{results: []measurement{one(9).beside(1), one(0.1).beside(1)}}
	verdicts, err := crowd.judge(ratios{p50: 1}, busy.measure)
	require.NoError(t, err)
	require.EqualError(t, conclude(verdicts), "nothing could be judged, others use the machine: run it again when it is quiet")
	quiet := script{results: []measurement{one(1)}}
	more, err := lone.judge(ratios{p50: 1}, quiet.measure)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, printVerdicts(&out, here(2), here(2), append(verdicts, more...)))
	require.Contains(t, out.String(), "Not judged: 1 of 2. Run it again")
	require.NotContains(t, out.String(), "better than recorded", "that is not known either")
	require.NoError(t, conclude(append(verdicts, more...)))
}

func TestDifferencesAreSaid(t *testing.T) {
	then := here(2)
	now := then
	require.Empty(t, differences(then, now))
	now.Go, now.CPU = "go2", "slide rule"
	require.Equal(t, "; here it is slide rule, go2", differences(then, now))
}
