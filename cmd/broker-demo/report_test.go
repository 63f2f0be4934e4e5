package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func sample() *summary {
	return &summary{
		Files: 10, Bytes: 3 << 20, Words: 1234, Seconds: 2, Calls: 12, Retries: 3,
		WorkersStarted: 5, WorkersLost: 2, Errors: 0, Verified: true,
		passes: 1, verify: true, skipped: 4, unreadable: 1,
	}
}

func TestSummaryJSONIsOneLineWithTheseKeys(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sample().writeJSON(&out))
	require.Equal(t, `{"files":10,"bytes":3145728,"words":1234,"seconds":2,"calls":12,"retries":3,`+
		`"workers_started":5,"workers_lost":2,"errors":0,"verified":true}`+"\n", out.String())
}

func TestSummaryText(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sample().writeText(&out, []wordCount{{"the", 100}, {"of", 7}}))
	require.Equal(t, `  100 the
    7 of

1 pass: 10 files, 3.0 MiB, 1234 words in 2.0 s: 5 files/s, 1.5 MiB/s
calls: 12, 0 of them failed; retries: 3
workers: 5 started, 2 lost
files left out: 4 not text, 1 unreadable
verified: equal to the count made in process
`, out.String())
}

func TestSummaryOutcome(t *testing.T) {
	tests := []struct {
		change func(*summary)
		want   string
	}{
		{func(s *summary) { s.verify, s.Verified = false, false }, "not verified (see -verify)"},
		{func(s *summary) { s.Verified, s.Errors = false, 1 }, "errors: 1; NOT EQUAL to the count made in process"},
		{func(s *summary) { s.interrupted = true }, "interrupted, incomplete; verified: equal to the count made in process"},
	}
	for _, test := range tests {
		s := sample()
		test.change(s)
		require.Equal(t, test.want, s.outcome())
	}
}
