// Package worker is what a worker program imports.
//
// A worker is a program that a host, such as package broker, starts and calls over its standard input and output. It registers handlers and
// runs:
//
//	package main
//
//	import (
//		"context"
//
//		"github.com/stdcrew/stdcrew/worker"
//	)
//
//	type ResizeArgs struct {
//		Width int
//		Data  []byte
//	}
//
//	type Thumbnail struct{ Data []byte }
//
//	func main() {
//		w := worker.New(worker.Options{})
//		worker.Handle(w, "resize", func(ctx context.Context, in ResizeArgs) (Thumbnail, error) {
//			if in.Width < 1 {
//				return Thumbnail{}, &worker.Error{Code: "width", Message: "a thumbnail needs a width"}
//			}
//			data, err := resize(ctx, in.Width, in.Data)
//			return Thumbnail{Data: data}, err
//		})
//		w.Run()
//	}
//
// Arguments and results are MessagePack, by github.com/vmihailenco/msgpack/v5 and its struct tags; a type with MarshalMsg and UnmarshalMsg, as
// github.com/tinylib/msgp generates them, goes by these. An error reaches the caller with its code and text; a panic fails the call and not the worker.
// Started by hand, the program says what it is and how it is used.
//
// # One call at a time, or several
//
// By default a worker is given one call at a time, and the host starts more workers where more is to be done. With Options.InFlight handlers run
// at the same time, which is for those that wait for something rather than compute.
//
// # Standard output
//
// It belongs to the protocol. The first [New] in a process that a host has started moves standard input and output to private descriptors: what
// the program, its libraries and its children print from then on goes to standard error, which the host logs, and who reads standard input
// finds it empty. So call New early. What was printed before New is noise that the host skips, up to 64 KiB. In a process without the host's
// mark [Worker.Run] does the same.
//
// # The end
//
// A host that wants the worker to end asks for it: calls that run are finished, or with "now" canceled, further ones refused, and the worker
// exits when the host closes its input. If input ends without that, the host may have died. Either way the contexts of handlers that still run end, and
// they have Options.ExitGrace to return. Then the process exits, whatever they do, so that no worker outlives its host. The signal to terminate
// is taken in the same way. [Worker.Run] tells what becomes of the processes that handlers have started.
//
// # The same program as host and worker
//
// With broker.Self as a pool's command the application starts itself, and [Main] as the first line of its main function makes that process the worker:
//
//	func main() {
//		worker.Main(map[string]func(*worker.Worker){
//			"images": func(w *worker.Worker) { worker.Handle(w, "resize", resize) },
//		})
//		… // the application
//	}
//
// # Other streams
//
// [Worker.Serve] serves on any reader and writer and touches nothing of the process, which is how handlers are tested without one.
//
// # Systems
//
// On Linux and other Unix systems descriptors are moved, so all of the above holds for code in any language within the process. On Windows the handles
// are replaced: code that asked for standard output before New keeps the old one.
package worker
