// Command echo is a worker that answers with what it is sent.
//
// Its methods are described at handlers.Echo. The flag -delay makes each echo
// take that long.
package main

import (
	"flag"

	"github.com/stdcrew/stdcrew/testworkers/handlers"
	"github.com/stdcrew/stdcrew/worker"
)

func main() {
	w := worker.New(worker.Options{InFlight: worker.AnyInFlight})
	delay := flag.Duration("delay", 0, "how long each echo takes")
	flag.Parse()
	handlers.Echo(*delay)(w)
	w.Run()
}
