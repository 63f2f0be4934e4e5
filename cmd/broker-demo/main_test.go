package main

import (
	"os"
	"testing"

	"github.com/stdcrew/stdcrew/worker"
)

const (
	// asDemo makes the test binary the demo itself, so that tests can signal and kill it.
	asDemo = "BROKER_DEMO_TEST_AS_DEMO"
	// asWorker makes the test binary a worker program, of the crew that it names.
	asWorker = "BROKER_DEMO_TEST_AS_WORKER"
)

func TestMain(m *testing.M) {
	beHostile()
	worker.Main(crews) // the crews of the tests run this binary again
	if crew, ok := crews[os.Getenv(asWorker)]; ok {
		w := worker.New(worker.Options{InFlight: worker.AnyInFlight})
		crew(w)
		w.Run()
	}
	if os.Getenv(asDemo) != "" {
		main()
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // workers built with the race detector would take a second to exit
	os.Exit(m.Run())
}
