package main

import (
	"bufio"
	"fmt"
	"os"
	"testing/fstest"
)

// printLines runs the program on a repository of these files.
func printLines(files map[string]string) {
	root := fstest.MapFS{}
	for name, text := range files {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	out := bufio.NewWriter(os.Stdout)
	err := run(out, root)
	_ = out.Flush()
	fmt.Println("error:", err)
}

const behavior = `# Behavior

| group | about |
|---|---|
| L4 | programs, not yet built; L1.1 is not |

## L1 One process

Held by this: L1.1, L1.2. The notifications (L1.3, L1.5–L1.6) are not yet built. L1.4 is.

- **L1.1** A first line that is much longer than the others, so that not all of its words can be printed in one
  line, and L1.4 in it is not yet built.
- **L1.2** Two.
- **L1.3** Three.
- **L1.4** Four.
- **L1.5** Five.
- **L1.6** Six.

## L4 Programs

Held by ` + "`monitor`" + `, not yet built.

- **L4.1** One.
- **L4.2** Two, the pool's too.
`

const pitfalls = `# Pitfalls

P3 is not yet built.

## The stream

- **P1** A print.
- **P2** Noise.

## Calls

- **P3** Progress.
- **P4** Limits.
`

func pagesAnd(tests string) map[string]string {
	return map[string]string{
		"docs/behavior.md":     behavior,
		"docs/pitfalls.md":     pitfalls,
		"cmd/x/x_test.go":      "package x\n" + tests,
		"x/testdata/a_test.go": "no Go, and not read",
		".git/b_test.go":       "likewise",
		"x/x.go":               "package x\n\nfunc TestL1_2_InNoTestFile() {}\n",
	}
}

// Numbers are in names, in the comments above, and in the names of subtests. Lines that are planned and have a test are held all the same.
func Example_held() {
	printLines(pagesAnd(`
func TestL1_EveryCell() {}

func TestL1_1_P4_Kill() {}

// BenchmarkKill: as fast as L1.1 allows (P1, P1).
func BenchmarkKill() {}

// of P2 speaks a helper, which holds nothing
func helper() { t.Run("P2: no test", nil) }

func FuzzL4_2() {
	for _, cs := range []struct{ name string }{{"L4.2, P4: a table"}, {"P2"}, {"P2 times"}, {"see P2: it"}} {
		t.Run(cs.name, nil)
	}
	t.Run("P1_noise", nil)
}

func (t thing) TestP2_IsAMethod() {}
`))
	// Output:
	// L1     (the group)
	//          cmd/x.TestL1_EveryCell
	// L1.1   A first line that is much longer than the others, so that not all of its words can be …
	//          cmd/x.TestL1_1_P4_Kill
	//          cmd/x.BenchmarkKill
	// L4.2   Two, the pool's too.
	//          cmd/x.FuzzL4_2
	//          cmd/x.FuzzL4_2 [L4.2, P4: a table]
	// P1     A print.
	//          cmd/x.BenchmarkKill
	//          cmd/x.FuzzL4_2 [P1_noise]
	// P4     Limits.
	//          cmd/x.TestL1_1_P4_Kill
	//          cmd/x.FuzzL4_2 [L4.2, P4: a table]
	//
	// built, without a test:
	//   L1.2   Two.
	//   L1.4   Four.
	//   P2     Noise.
	//
	// not yet built:
	//   L1.3   Three.
	//   L1.5   Five.
	//   L1.6   Six.
	//   L4.1   One.
	//   P3     Progress.
	//
	// 12 lines: 4 with tests, 3 without, 5 not yet built
	// error: <nil>
}

// A number that does not exist is an error, wherever it stands.
func Example_unknown() {
	printLines(map[string]string{
		"docs/behavior.md": "- **L1.1** One.\n",
		"docs/pitfalls.md": "- **P1** One.\n",
		"a/a_test.go": `package a

func TestL1_1_P1_All() {}

func TestL1_2_NoSuchLine() {}

// Something like P50.
func TestComment() { t.Run("L7.1: no such group", nil) }
`,
	})
	// Output:
	// L1.1   One.
	//          a.TestL1_1_P1_All
	// P1     One.
	//          a.TestL1_1_P1_All
	//
	// 2 lines: 2 with tests, 0 without, 0 not yet built
	// error: a/a_test.go:5: a.TestL1_2_NoSuchLine gives L1.2, which does not exist
	// a/a_test.go:8: a.TestComment gives P50, which does not exist
	// a/a_test.go:8: a.TestComment [L7.1: no such group] gives L7.1, which does not exist
}

// What cannot be read is an error, not an empty list.
func Example_unreadable() {
	printLines(map[string]string{"docs/behavior.md": "- **L1.1** One.\n"})
	printLines(map[string]string{"docs/behavior.md": "- **L1.1** One.\n", "docs/pitfalls.md": "none\n"})
	printLines(map[string]string{"docs/behavior.md": "- **L1.1** One.\n- **L1.1** Again.\n", "docs/pitfalls.md": "- **P1** One.\n"})
	printLines(map[string]string{"docs/behavior.md": "- **L1.1** One.\n", "docs/pitfalls.md": "- **P1** One.\n", "a_test.go": "package"})
	// Output:
	// error: open docs/pitfalls.md: file does not exist
	// error: docs/pitfalls.md: no numbered lines
	// error: docs/behavior.md: L1.1 is there twice
	// error: a_test.go:1:8: expected 'IDENT', found 'EOF'
}
