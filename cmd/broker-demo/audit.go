package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// loadPass is the pass under which the calls of a load stand in its ledger. Their keys are their numbers.
const loadPass = 1

// audit compares what a ledger says of the calls with what their callers were told.
type audit struct {
	begins, ends []uint8 // of each call, as far as they can be counted
	executed     int64   // calls that the ledger says were begun
	duplicated   int64   // calls that were begun more than once, and should not have been
	untrue       int64   // calls whose callers were told what the ledger refutes
	problems     []*problem
}

// problem is one way in which ledger and calls disagree.
type problem struct {
	what  string
	first string // where
	count int64
}

func (p *problem) String() string { return fmt.Sprintf("%s: %d, such as %s", p.what, p.count, p.first) }

// auditLedger reads the ledger of calls that have all ended, and whose workers are gone. Calls that the broker may repeat, which idempotent tells
// by their numbers, may have been begun more than once.
func auditLedger(path string, calls *book, idempotent func(number int64) bool) (*audit, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer file.Close()

	begun, _, _ := calls.totals()
	a := &audit{begins: make([]uint8, begun), ends: make([]uint8, begun)}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		a.line(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	for n := range begun {
		a.compare(n, calls.fate(n), idempotent(n))
	}
	return a, nil
}

// line counts a line of the ledger.
func (a *audit) line(line string) {
	event, rest, _ := strings.Cut(line, " ")
	fields := strings.Split(rest, " ")
	if len(fields) != 3 || fields[0] != strconv.Itoa(loadPass) {
		a.disagree("lines that are none", strconv.Quote(line))
		return
	}
	n, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || n < 0 || n >= int64(len(a.begins)) {
		a.disagree("lines of calls that were never made", strconv.Quote(line))
		return
	}
	switch event {
	case "begin":
		count(&a.begins[n])
	case "end":
		count(&a.ends[n])
	default:
		a.disagree("lines that are none", strconv.Quote(line))
	}
}

func count(n *uint8) {
	if *n < 255 {
		*n++
	}
}

// compare holds what the ledger says of a call against what its caller was told.
func (a *audit) compare(n int64, told fate, idempotent bool) {
	begins, ends := a.begins[n], a.ends[n]
	call := fmt.Sprintf("call %d", n)
	if begins > 0 {
		a.executed++
	}
	if begins > 1 && !idempotent {
		a.duplicated++
		a.disagree("calls that were executed more than once", call)
	}
	if ends > begins {
		a.disagree("calls with more ends than begins", call)
	}
	if told == fateAnswered && ends == 0 {
		a.untrue++
		a.disagree("calls that were answered and have no end", call)
	}
	if told == fateNotSent && begins > 0 {
		a.untrue++
		a.disagree("calls that were said not to be executed and have a begin", call)
	}
}

func (a *audit) disagree(what, where string) {
	i := slices.IndexFunc(a.problems, func(p *problem) bool { return p.what == what })
	if i < 0 {
		a.problems = append(a.problems, &problem{what: what, first: where})
		i = len(a.problems) - 1
	}
	a.problems[i].count++
}
