package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// bookOf is a book of calls that have ended like this.
func bookOf(fates ...fate) *book {
	b := &book{}
	for _, f := range fates {
		n := b.begin()
		if f != fateOpen {
			b.end(n, f)
		}
	}
	return b
}

// never says that no call may be repeated.
func never(int64) bool { return false }

func TestAudit(t *testing.T) {
	calls := bookOf(fateAnswered, fateNotSent, fateUnknown, fateFailed, fateOpen)
	const good = "begin 1 0 70\nend 1 0 70\n"
	tests := []struct {
		name, ledger string
		idempotent   bool
		duplicated   int64
		untrue       int64
		want         []string
	}{
		{name: "agrees", ledger: good},
		{name: "what is not known may have been executed", ledger: good + "begin 1 2 71\nend 1 2 71\nbegin 1 3 70\nbegin 1 4 70\n"},
		{name: "answered without an end", ledger: "begin 1 0 70\n", untrue: 1,
			want: []string{"calls that were answered and have no end: 1, such as call 0"}},
		{name: "never written", ledger: "", untrue: 1,
			want: []string{"calls that were answered and have no end: 1, such as call 0"}},
		{name: "not sent, and executed", ledger: good + "begin 1 1 70\n", untrue: 1,
			want: []string{"calls that were said not to be executed and have a begin: 1, such as call 1"}},
		{name: "executed twice", ledger: good + "begin 1 0 71\nbegin 1 2 70\nbegin 1 2 71\nbegin 1 2 72\n", duplicated: 2,
			want: []string{"calls that were executed more than once: 2, such as call 0"}},
		{name: "executed twice, as is allowed", ledger: good + "begin 1 0 71\nend 1 0 71\n", idempotent: true},
		{name: "end without begin", ledger: good + "end 1 2 70\n",
			want: []string{"calls with more ends than begins: 1, such as call 2"}},
		{name: "strangers", ledger: good + "begin 1 5 70\nbegin 1 x 70\nbegin 1 -1 70\n",
			want: []string{`lines of calls that were never made: 3, such as "begin 1 5 70"`}},
		{name: "no lines", ledger: good + "begin 1 0\nbebegin 1 0 70\nbegin 2 0 70\n\n",
			want: []string{`lines that are none: 4, such as "begin 1 0"`}},
		{name: "several", ledger: "begin 1 1 70\nend 1\n", untrue: 2,
			want: []string{
				`lines that are none: 1, such as "end 1"`,
				"calls that were answered and have no end: 1, such as call 0",
				"calls that were said not to be executed and have a begin: 1, such as call 1",
			}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger")
			require.NoError(t, os.WriteFile(path, []byte(test.ledger), 0o666))
			a, err := auditLedger(path, calls, func(int64) bool { return test.idempotent })
			require.NoError(t, err)
			var got []string
			for _, p := range a.problems {
				got = append(got, p.String())
			}
			require.Equal(t, test.want, got)
			require.Equal(t, test.duplicated, a.duplicated)
			require.Equal(t, test.untrue, a.untrue)
		})
	}
}

func TestAuditWithoutALedger(t *testing.T) {
	_, err := auditLedger(filepath.Join(t.TempDir(), "absent"), &book{}, never)
	require.ErrorContains(t, err, "read the ledger: open ")
}

func TestAuditCountsWhatWasExecuted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	require.NoError(t, os.WriteFile(path, []byte("begin 1 0 70\nend 1 0 70\nbegin 1 2 71\n"), 0o666))
	a, err := auditLedger(path, bookOf(fateAnswered, fateNotSent, fateUnknown), never)
	require.NoError(t, err)
	require.EqualValues(t, 2, a.executed)
}
