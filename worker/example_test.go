package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stdcrew/stdcrew/rpc"
	"github.com/stdcrew/stdcrew/worker"
)

type Args struct {
	Text  string
	Times int
}

func repeat(_ context.Context, in Args) (string, error) {
	if in.Times < 0 {
		return "", &worker.Error{Code: "times", Message: "cannot repeat less than nothing"}
	}
	return strings.Repeat(in.Text, in.Times), nil
}

// A program would call Run, and a broker would start it. Serve makes the same worker work without a process.
func Example() {
	w := worker.New(worker.Options{})
	worker.Handle(w, "repeat", repeat)

	hostIn, workerOut := io.Pipe()
	workerIn, hostOut := io.Pipe()
	served := make(chan error)
	go func() { served <- w.Serve(context.Background(), workerIn, workerOut) }() // ends with its input

	ctx := context.Background()
	host, err := rpc.Connect(ctx, stream{hostIn, hostOut}, rpc.HostOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var out string
	err = host.Call(ctx, "repeat", Args{Text: "ho ", Times: 3}, &out, rpc.CallOptions{})
	fmt.Println(out, err)

	err = host.Call(ctx, "repeat", Args{Text: "ho ", Times: -1}, &out, rpc.CallOptions{})
	var failed *worker.Error
	fmt.Println(errors.As(err, &failed), failed.Code)

	host.Close()
	fmt.Println(<-served)
	// Output:
	// ho ho ho  <nil>
	// true times
	// <nil>
}

// stream is the host's side.
type stream struct {
	*io.PipeReader
	*io.PipeWriter
}

func (s stream) Close() error {
	s.PipeWriter.Close()
	return s.PipeReader.Close()
}
