package pool_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/stdcrew/stdcrew/pool"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

func Example() {
	p, err := pool.New(pool.Options{
		Name: "greeters",
		Max:  4,
		// A real pool names a program: Command: process.Command{Path: "greeter"}
		Start: greeter,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	ctx := context.Background()
	var greeting string
	err = p.Call(ctx, "hello", "Ada", &greeting, pool.CallOptions{})
	fmt.Println(greeting, err)

	err = p.Call(ctx, "hello", "", nil, pool.CallOptions{})
	var e *pool.Error
	if errors.As(err, &e) {
		fmt.Printf("%v, %v: %v\n", e.Class, e.Delivery, e.Err)
	}

	// Output:
	// Hello, Ada! <nil>
	// remote, answered: whom shall I greet?
}

// greeter is a worker in memory. Worker programs use package worker.
func greeter(_ process.Command, o process.Options) (*process.Process, error) {
	return process.StartFunc(func(m *process.Memory) int {
		peer, err := rpc.Announce(context.Background(), stdio{m}, rpc.WorkerOptions{Handler: rpc.HandlerFunc(greet)})
		if err != nil || peer.Ready() != nil {
			return 1
		}
		_ = peer.Serve() // until standard input ends
		return 0
	}, o), nil
}

func greet(_ context.Context, r *rpc.Request) (any, error) {
	var name string
	if err := r.Decode(&name); err != nil {
		return nil, err
	}
	if name == "" {
		return nil, errors.New("whom shall I greet?")
	}
	return "Hello, " + name + "!", nil
}

// stdio is an in-memory process's standard input and output as one stream.
type stdio struct{ m *process.Memory }

func (s stdio) Read(p []byte) (int, error)  { return s.m.Stdin.Read(p) }
func (s stdio) Write(p []byte) (int, error) { return s.m.Stdout.Write(p) }
func (s stdio) Close() error                { return errors.Join(s.m.Stdin.Close(), s.m.Stdout.Close()) }
