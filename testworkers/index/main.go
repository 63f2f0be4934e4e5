// Command index is a worker that counts the words of texts.
//
// Its method is described at handlers.Index.
package main

import (
	"github.com/stdcrew/stdcrew/testworkers/handlers"
	"github.com/stdcrew/stdcrew/worker"
)

func main() {
	w := worker.New(worker.Options{InFlight: worker.AnyInFlight})
	handlers.Index(w)
	w.Run()
}
