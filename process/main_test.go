package process

import (
	"fmt"
	"os"
	"testing"
)

// TestMain lets the test binary play the programs that the tests start, and looks for leftovers when the tests are over.
func TestMain(m *testing.M) {
	if mode := os.Getenv(envMode); mode != "" {
		os.Exit(playProgram(mode, os.Args[1:]))
	}
	before := takeStock()
	code := m.Run()
	if left := before.leftovers(); left != "" {
		fmt.Fprintln(os.Stderr, "left behind by the tests:", left)
		code = 1
	}
	os.Exit(code)
}

// envMode names the program that the test binary is to play.
const envMode = "PROCESS_TEST_PROGRAM"
