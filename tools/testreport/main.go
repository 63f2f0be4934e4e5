// Testreport turns the events of go test -json into what go test prints without it, then lists every skipped test with its reason.
//
//	go test -json ./... | testreport
//
// Without this a skipped test is invisible: go test mentions it only with -v, among everything else.
// Output of tests that pass is dropped, output of those that fail is shown, and so are the lines that close each package.
// The exit code is 1 if anything failed; run it with the shell's pipefail to keep go test's own exit code too.
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	ok, err := copyReport(out, os.Stdin)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}
