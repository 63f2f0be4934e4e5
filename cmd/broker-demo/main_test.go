package main

import (
	"os"
	"testing"

	"github.com/stdcrew/stdcrew/worker"
)

// asDemo makes the test binary the demo itself, so that tests can signal and kill it.
const asDemo = "BROKER_DEMO_TEST_AS_DEMO"

func TestMain(m *testing.M) {
	worker.Main(crews) // the crews of the tests run this binary again
	if os.Getenv(asDemo) != "" {
		main()
	}
	os.Exit(m.Run())
}
