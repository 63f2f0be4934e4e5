package main

import (
	"context"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/worker"
)

// crew is the project's own entry. The struct is encoded by reflection, as any struct is.
var crew = contender{name: "stdcrew", what: "broker.Call, a pool of exactly the workers, msgpack", heals: true, start: func(w workload) (*session, error) {
	return startCrew(w, func(c crewCalls) calls { return &c })
}}

// generatedCrew is the same with a struct for which code has been generated.
var generatedCrew = contender{
	name: "stdcrew, generated", module: "github.com/tinylib/msgp", what: "stdcrew, with generated code for the struct", payload: recordPayload, heals: true,
	start: func(w workload) (*session, error) {
		return startCrew(w, func(c crewCalls) calls { return &generatedCalls{c} })
	},
}

// shortCrew makes calls of 64 bytes beside those with a struct, in the same rounds: what the struct costs can be seen in turns, like all else.
var shortCrew = contender{
	name: "stdcrew, 64 B", what: "stdcrew, 64 bytes in place of the struct", payload: recordPayload, heals: true,
	start: func(w workload) (*session, error) {
		w.Payload = "64B"
		return crew.start(w)
	},
}

const crewPool = "peer"

// crewWorkers is what the program is when the broker has started it.
var crewWorkers = map[string]func(*worker.Worker){crewPool: func(w *worker.Worker) {
	worker.HandleBytes(w, "echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	worker.Handle(w, "turn", func(_ context.Context, in reflected) (reflected, error) { return in, nil })
	worker.Handle(w, "generated", func(_ context.Context, in Record) (Record, error) { return in, nil })
}}

// crewCalls is what one caller calls.
type crewCalls struct {
	*broker.Broker
	answer []byte // used again and again
}

func (c *crewCalls) echo(ctx context.Context, b []byte) ([]byte, error) {
	err := c.Call(ctx, crewPool+".echo", b, &c.answer)
	return c.answer, err
}

func (c *crewCalls) turn(ctx context.Context, r *Record) (*Record, error) {
	out := new(Record)
	return out, c.Call(ctx, crewPool+".turn", (*reflected)(r), (*reflected)(out))
}

type generatedCalls struct{ crewCalls }

func (c *generatedCalls) turn(ctx context.Context, r *Record) (*Record, error) {
	out := new(Record)
	return out, c.Call(ctx, crewPool+".generated", r, out)
}

// startCrew starts a pool; own makes what one caller has.
func startCrew(w workload, own func(crewCalls) calls) (*session, error) {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
		crewPool: {Command: broker.Self(crewPool), Min: w.Workers, Max: w.Workers, InFlight: w.InFlight},
	}})
	if err != nil {
		return nil, err
	}
	pids := func() (ids []int) {
		for _, w := range b.Snapshot().Pools[crewPool].Workers {
			ids = append(ids, w.PID)
		}
		return ids
	}
	caller := func(i int) func(context.Context) error {
		call, to := callOf(w, i), own(crewCalls{Broker: b})
		return func(ctx context.Context) error { return call(ctx, to) }
	}
	return &session{caller: caller, pids: pids, close: b.Close}, nil
}
