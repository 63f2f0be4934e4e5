package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ledgerEvents is what a ledger says of one piece in one pass.
type ledgerEvents struct{ begins, ends int }

// readLedger returns what a ledger says, by pass and key.
func readLedger(in io.Reader) (map[int]map[string]ledgerEvents, error) {
	passes := map[int]map[string]ledgerEvents{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), " ")
		if len(fields) != 4 {
			return nil, fmt.Errorf("%q: want 4 fields", lines.Text())
		}
		pass, err := strconv.Atoi(fields[1])
		if err != nil || pass < 1 {
			return nil, fmt.Errorf("%q: bad pass", lines.Text())
		}
		if pid, err := strconv.Atoi(fields[3]); err != nil || pid < 2 {
			return nil, fmt.Errorf("%q: bad pid", lines.Text())
		}
		if passes[pass] == nil {
			passes[pass] = map[string]ledgerEvents{}
		}
		events := passes[pass][fields[2]]
		switch fields[0] {
		case "begin":
			events.begins++
		case "end":
			events.ends++
		default:
			return nil, fmt.Errorf("%q: unknown event", lines.Text())
		}
		passes[pass][fields[2]] = events
	}
	return passes, lines.Err()
}

// checkLedger returns an error unless each of the pieces ended in each pass,
// nothing else ran, and no more ends than retries are beyond one a piece and pass.
func checkLedger(in io.Reader, pieces []string, passes int, retries int64) error {
	ledger, err := readLedger(in)
	if err != nil {
		return err
	}
	if len(ledger) != passes {
		return fmt.Errorf("%d passes, want %d", len(ledger), passes)
	}
	extra := int64(0)
	for pass, keys := range ledger {
		for _, key := range pieces {
			if keys[key].ends == 0 {
				return fmt.Errorf("pass %d: %s has no end", pass, key)
			}
		}
		for key, events := range keys {
			if !slices.Contains(pieces, key) {
				return fmt.Errorf("pass %d: %s is no piece", pass, key)
			}
			if events.begins < events.ends {
				return fmt.Errorf("pass %d: %s ended more often than it began", pass, key)
			}
			extra += int64(events.ends - 1)
		}
	}
	if extra > retries {
		return fmt.Errorf("%d ends too many for %d retries", extra, retries)
	}
	return nil
}

func TestLedgerChecker(t *testing.T) {
	const good = "begin 1 a#0 70\nbegin 1 b#0 71\nend 1 a#0 70\nbegin 1 b#0 72\nend 1 b#0 72\n"
	tests := []struct {
		name, ledger string
		retries      int64
		want         string
	}{
		{"a killed attempt", good, 1, ""},
		{"answered and killed before the answer left", good + "begin 1 a#0 73\nend 1 a#0 73\n", 1, ""},
		{"more than was retried", good + "begin 1 a#0 73\nend 1 a#0 73\n", 0, "1 ends too many for 0 retries"},
		{"no end", "begin 1 a#0 70\nend 1 a#0 70\nbegin 1 b#0 71\n", 9, "pass 1: b#0 has no end"},
		{"never begun", "begin 1 a#0 70\nend 1 a#0 70\n", 9, "pass 1: b#0 has no end"},
		{"end without begin", good + "end 1 a#0 70\n", 9, "pass 1: a#0 ended more often than it began"},
		{"unknown piece", good + "begin 1 c#0 70\nend 1 c#0 70\n", 9, "pass 1: c#0 is no piece"},
		{"another pass", good + "begin 2 a#0 70\n", 9, "2 passes, want 1"},
		{"torn line", good + "begin 1 a#", 9, `"begin 1 a#": want 4 fields`},
		{"mixed lines", "bebegin 1 a#0 70\n", 9, `"bebegin 1 a#0 70": unknown event`},
		{"bad numbers", "begin x a#0 70\n", 9, `"begin x a#0 70": bad pass`},
		{"no pid", "begin 1 a#0 p\n", 9, `"begin 1 a#0 p": bad pid`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := checkLedger(strings.NewReader(test.ledger), []string{"a#0", "b#0"}, 1, test.retries)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, test.want)
		})
	}
}

func TestNewLedgerIsEmptyAndAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	path, err := newLedger("l.txt")
	require.NoError(t, err)
	require.True(t, filepath.IsAbs(path))

	for _, content := range []string{"begin 1 a#0 70\nend 1 a#0 70\n", ""} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
		_, err = newLedger(path)
		require.NoError(t, err)
		now, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Empty(t, now, "begun anew")
	}
}

func TestNewLedgerSparesOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	for _, content := range []string{"package main\n", "no line", "beginner\n", strings.Repeat("x", 100<<10)} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
		_, err := newLedger(path)
		require.ErrorContains(t, err, "the file exists and is no ledger; name another, or remove it")
		now, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(now))
	}
}
