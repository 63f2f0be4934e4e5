//go:build linux

package broker_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/stdcrew/stdcrew/broker"
)

// The program is its own worker here: its main begins with worker.Main, which serves as "echo".
func Example() {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
		"echo": {Command: broker.Self("echo"), Max: 2},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	text, err := broker.Call[string](context.Background(), b, "echo.echo", "hello")
	fmt.Println(text, err)

	_, err = broker.Call[string](context.Background(), b, "echo.shout", "hello")
	var failed *broker.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Class, failed.Delivery, failed.Err)
	}
	// Output:
	// hello <nil>
	// caller not executed unknown_method: unknown method "shout"; the worker has echo, ledger_echo, sleep
}
