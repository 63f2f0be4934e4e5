package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func sampleLoad() *loadSummary {
	s := &loadSummary{
		Calls: 2000, Errors: map[string]int64{"remote": 1, "interrupted": 3}, NotSent: 1, Unknown: 2,
		WorkersStarted: 5, WorkersLost: 3, load: "closed loop, 2 callers, 2 workers", retries: 4, tolerated: true,
	}
	h := newHistogram()
	for i := range 1000 {
		_ = h.RecordValue(int64(i+1) * 1000)
	}
	s.setTimes(h, 1500*time.Millisecond)
	s.setCPU(10*time.Millisecond, 30*time.Millisecond)
	return s
}

func TestLoadJSONIsOneLineWithTheseKeys(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sampleLoad().writeJSON(&out))
	require.Equal(t, `{"calls":2000,"seconds":1.5,"calls_per_s":1333.333,"mean_us":500.505,"p50_us":500.223,"p90_us":900.095,"p99_us":990.207,`+
		`"p999_us":999.423,"max_us":1000.447,"cpu_us_per_call":20,"errors":{"interrupted":3,"remote":1},"not_sent":1,"unknown":2,"lost":0,"duplicated":0,`+
		`"workers_started":5,"workers_lost":3,"reloads":0}`+"\n", out.String())

	out.Reset()
	require.NoError(t, (&loadSummary{Errors: map[string]int64{}}).writeJSON(&out))
	require.Contains(t, out.String(), `"cpu_us_per_call":null,"errors":{},"not_sent":0`)
}

func TestLoadText(t *testing.T) {
	var out bytes.Buffer
	s := sampleLoad()
	s.ledger = &audit{executed: 1998}
	require.NoError(t, s.writeText(&out))
	require.Equal(t, `2000 calls in 1.5 s: 1333 calls/s, closed loop, 2 callers, 2 workers
latency: mean 500.5 µs, p50 500.2, p90 900.1, p99 990.2, p99.9 999.4, max 1000.4
CPU per call: 20.0 µs: host 5.0, workers 15.0
failed calls: 3 interrupted, 1 remote (1 not executed, 2 may have been executed); retries: 4
workers: 5 started, 3 lost
ledger: agrees; 1998 calls were executed
every call ended exactly once
`, out.String())
}

func TestLoadTextOfTrouble(t *testing.T) {
	var out bytes.Buffer
	s := &loadSummary{
		Calls: 10, Seconds: 5, Lost: 1, Duplicated: 2, load: "open loop of 10/s, 1 caller, 1 worker", behind: 4 * time.Second, unmade: 7, interrupted: true,
		ledger: &audit{problems: []*problem{{what: "calls that ran away", count: 2, first: "call 3"}}},
	}
	require.NoError(t, s.writeText(&out))
	for _, want := range []string{
		"CPU per call: not known on this system\n",
		"failed calls: 0; retries: 0\n",
		"the rate is more than these callers and workers can do: it took 4.0 s longer\n",
		"calls that were due and not made: 7\n",
		"ledger: DISAGREES\n  calls that ran away: 2, such as call 3\n",
		"interrupted; NOT EVERY CALL ENDED ONCE: 1 lost, 2 duplicated\n",
	} {
		require.Contains(t, out.String(), want)
	}
}

func TestWhatIsWrongWithALoad(t *testing.T) {
	tests := []struct {
		name   string
		change func(*loadSummary)
		want   bool
	}{
		{"nothing", func(*loadSummary) {}, false},
		{"interrupted by -kill-every", func(s *loadSummary) { s.Errors, s.tolerated = map[string]int64{"interrupted": 3}, true }, false},
		{"interrupted", func(s *loadSummary) { s.Errors = map[string]int64{"interrupted": 3} }, true},
		{"failed otherwise", func(s *loadSummary) { s.Errors, s.tolerated = map[string]int64{"interrupted": 3, "remote": 1}, true }, true},
		{"lost", func(s *loadSummary) { s.Lost = 1 }, true},
		{"duplicated", func(s *loadSummary) { s.Duplicated = 1 }, true},
		{"else", func(s *loadSummary) { s.other = 1 }, true},
		{"ledger", func(s *loadSummary) { s.ledger = &audit{problems: []*problem{{}}} }, true},
		{"ledger agrees", func(s *loadSummary) { s.ledger = &audit{} }, false},
	}
	for _, test := range tests {
		var s loadSummary
		test.change(&s)
		require.Equal(t, test.want, s.wrong(), test.name)
	}
}
