package handlers

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A ledger says what the workers really did, for somebody who trusts neither
// them nor their host. It is a text file to which each call that names one appends
//
//	begin PASS KEY PID
//	end PASS KEY PID
//
// when it starts and before it answers. Each line is one write to a file opened for
// appending, so lines of different workers never mix. A call whose
// worker is killed may leave a begin without an end.

// ledger is one call's open ledger. A nil ledger writes nothing.
type ledger struct {
	file *os.File
	pass int
	key  string
}

// beginLedger opens the ledger at path, if there is one, and writes that the call of that key begins.
func beginLedger(path string, pass int, key string) (*ledger, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &ledger{file: file, pass: pass, key: key}
	if err := l.write("begin"); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

func (l *ledger) end() error {
	if l == nil {
		return nil
	}
	return errors.Join(l.write("end"), l.close())
}

func (l *ledger) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

func (l *ledger) write(event string) error {
	line := fmt.Sprintf("%s %d %s %d\n", event, l.pass, l.key, os.Getpid())
	if _, err := l.file.WriteString(line); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

// LedgerKey returns text in a form that is one word of a ledger's line: the
// bytes of white space, control characters, invalid UTF-8 and "%" become %XX. Different
// texts have different keys.
func LedgerKey(text string) string {
	var key strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		part := text[i : i+size]
		i += size
		if r == '%' || unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError && size <= 1 {
			for _, b := range []byte(part) {
				fmt.Fprintf(&key, "%%%02X", b)
			}
			continue
		}
		key.WriteString(part)
	}
	return key.String()
}
