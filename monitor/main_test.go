package monitor

import (
	"fmt"
	"os"
	"testing"
)

// TestMain looks for leftovers when the tests are over.
func TestMain(m *testing.M) {
	before := takeStock()
	code := m.Run()
	if left := before.leftovers(); left != "" {
		fmt.Fprintln(os.Stderr, "left behind by the tests:", left)
		code = 1
	}
	os.Exit(code)
}
