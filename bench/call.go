package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/testworkers/handlers"
	"github.com/stdcrew/stdcrew/worker"
)

// workers is what the program is when it runs as a worker.
var workers = map[string]func(*worker.Worker){echoPool: handlers.Echo(0)}

const echoPool = "echo"

// caller makes round trips by broker.Call to one worker that takes one call at a time.
type caller struct {
	broker *broker.Broker
	// ctx can be canceled, as that of any real caller can: a context that
	// cannot would spare the work of being ready for it.
	ctx     context.Context
	cancel  context.CancelFunc
	payload []byte
}

func newCaller(size int) (contender, error) {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
		echoPool: {Command: broker.Self(echoPool), Max: 1, InFlight: 1},
	}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &caller{broker: b, ctx: ctx, cancel: cancel, payload: bytes.Repeat([]byte{'x'}, size)}, nil
}

func (c *caller) name() string { return "broker.Call" }

func (c *caller) pid() int { return c.broker.Snapshot().Pools[echoPool].Workers[0].PID }

func (c *caller) roundTrip() error {
	answer, err := broker.Call[[]byte](c.ctx, c.broker, echoPool+".echo", c.payload)
	if err != nil {
		return err
	}
	if len(answer) != len(c.payload) {
		return fmt.Errorf("sent %d bytes and got %d back", len(c.payload), len(answer))
	}
	return nil
}

func (c *caller) close() error {
	c.cancel()
	if err := c.broker.Close(); err != nil {
		return errors.Join(errors.New("close the broker"), err)
	}
	return nil
}
