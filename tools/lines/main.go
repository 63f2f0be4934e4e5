// Lines prints which tests hold which numbered lines of docs/behavior.md (L1.1 and so on) and docs/pitfalls.md (P1 and so on), and the lines that
// no test holds: those that should have one, and those that are about parts not yet built.
//
//	lines [DIR]
//
// DIR is the root of the repository, the current directory if none is given. Every *_test.go below it counts, in whatever module.
//
// A test, benchmark, example or fuzz target holds the lines whose numbers
//
//   - its name begins with: TestL2_3_P9_WhatHolds;
//   - stand anywhere in the comment above it: "// L2.3, P9: …", "… (P18)";
//   - a string in it begins with, which is then the name of a subtest: t.Run("P9_kept", …), {"L2.1, P17: a hundred callers", …}.
//
// A name may also give a whole group, for what is true of its table: TestL2_EveryCell.
//
// Lines are not yet built where a sentence of the introduction of their group, or of the page, says "not yet built": those that the sentence
// names, as in "L5.3–L5.6", or the whole group if it names none.
//
// The exit code is 1 if a test gives a number that does not exist. That lines are without a test is no error.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	out := bufio.NewWriter(os.Stdout)
	err := run(out, os.DirFS(root))
	err = errors.Join(err, out.Flush())
	if err != nil {
		fmt.Fprintln(os.Stderr, "lines:", err)
		os.Exit(1)
	}
}

// run reads the pages and the tests and prints what holds what.
func run(out *bufio.Writer, root fs.FS) error {
	lines, err := readPages(root)
	if err != nil {
		return err
	}
	holders, err := findHolders(root)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, l := range lines {
		known[l.number], known[l.group] = true, true
	}
	held := map[string][]string{}
	var problems []error
	for _, h := range holders {
		for _, number := range h.numbers {
			if !known[number] {
				problems = append(problems, fmt.Errorf("%s: %s gives %s, which does not exist", h.at, h.name, number))
			}
			held[number] = append(held[number], h.name)
		}
	}
	report(out, lines, held)
	return errors.Join(problems...)
}

// report prints the lines that are held, those that should be, and those that are not yet built. A group comes before its lines.
func report(out *bufio.Writer, lines []line, held map[string][]string) {
	var bare, planned []line
	group, count := "", 0
	for _, l := range lines {
		if l.group != group {
			group = l.group
			if tests := held[group]; len(tests) > 0 {
				printHeld(out, group, "(the group)", tests)
			}
		}
		switch tests := held[l.number]; {
		case len(tests) > 0:
			count++
			printHeld(out, l.number, l.words, tests)
		case l.planned:
			planned = append(planned, l)
		default:
			bare = append(bare, l)
		}
	}
	printBare(out, "built, without a test", bare)
	printBare(out, "not yet built", planned)
	_, _ = fmt.Fprintf(out, "\n%d lines: %d with tests, %d without, %d not yet built\n", len(lines), count, len(bare), len(planned))
}

// What cannot be printed is told by Flush.

func printHeld(out *bufio.Writer, number, words string, tests []string) {
	_, _ = fmt.Fprintf(out, "%-6s %s\n", number, words)
	for _, t := range tests {
		_, _ = fmt.Fprintf(out, "         %s\n", t)
	}
}

func printBare(out *bufio.Writer, title string, lines []line) {
	if len(lines) == 0 {
		return
	}
	_, _ = fmt.Fprintf(out, "\n%s:\n", title)
	for _, l := range lines {
		_, _ = fmt.Fprintf(out, "  %-6s %s\n", l.number, l.words)
	}
}
