// Command crash is a worker that dies on request.
//
// Its methods are described at handlers.Crash.
package main

import (
	"github.com/stdcrew/stdcrew/testworkers/handlers"
	"github.com/stdcrew/stdcrew/worker"
)

func main() {
	w := worker.New(worker.Options{InFlight: worker.AnyInFlight})
	handlers.Crash(w)
	w.Run()
}
