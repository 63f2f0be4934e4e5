package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/stdcrew/stdcrew/rpc"
)

// end is one end of a connection over two pipes in memory. For a process these are its standard input and output.
type end struct {
	*io.PipeReader
	*io.PipeWriter
}

func (e end) Close() error { return errors.Join(e.PipeWriter.Close(), e.PipeReader.Close()) }

// Both ends of a connection in one program: the worker announces itself, says that it is ready, and serves; the host connects and calls.
func Example() {
	hostIn, workerOut := io.Pipe()
	workerIn, hostOut := io.Pipe()

	go func() { // the worker; ends with its input
		greet := func(_ context.Context, r *rpc.Request) (any, error) {
			var name string
			if err := r.Decode(&name); err != nil {
				return nil, err
			}
			if name == "" {
				return nil, &rpc.RemoteError{Code: "no_name", Message: "whom shall I greet?"}
			}
			return "hello, " + name, nil
		}
		worker, err := rpc.Announce(context.Background(), end{workerIn, workerOut}, rpc.WorkerOptions{
			Hello:   rpc.Hello{SDK: "example/1", Methods: []string{"greet"}},
			Handler: rpc.HandlerFunc(greet),
		})
		if err != nil {
			return
		}
		_ = worker.Ready()
		_ = worker.Serve()
	}()

	ctx := context.Background()
	host, err := rpc.Connect(ctx, end{hostIn, hostOut}, rpc.HostOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()

	var reply string
	err = host.Call(ctx, "greet", "crew", &reply, rpc.CallOptions{})
	fmt.Println(reply, err)

	err = host.Call(ctx, "greet", "", &reply, rpc.CallOptions{})
	var remote *rpc.RemoteError
	fmt.Println(errors.As(err, &remote), remote.Code)

	err = host.Call(ctx, "greet", make(chan int), &reply, rpc.CallOptions{})
	var failed *rpc.CallError
	fmt.Println(errors.As(err, &failed), failed.Delivery)
	// Output:
	// hello, crew <nil>
	// true no_name
	// true not executed
}
