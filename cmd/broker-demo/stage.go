package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stdcrew/stdcrew/broker"
)

const (
	chaosCrew     = "chaos"
	chaosInFlight = 2                      // calls that a worker of the crew has at a time
	chaosDelay    = 4 * time.Millisecond   // that each of them takes, so that most workers are struck in the middle of one
	chaosBeat     = 300 * time.Millisecond // three of them without a sign of life are more than a freeze
	hangHold      = 2 * time.Second        // of faultHang: the broker has long ended a worker that has calls
	chaosLanes    = 4                      // hostile workers at a time
	crewPlaces    = 8                      // faults of the crew at a time
)

// stage is where chaos takes place: a broker with the pool of the crew and those of the lanes.
type stage struct {
	crew  *crew
	lanes []*lane
	env   []string // of all its workers
}

// newStage makes the broker; no worker runs before the first call. Every process that comes of it has mark, "NAME=value", in its environment.
func newStage(o *chaosOptions, mark string) (*stage, error) {
	s := &stage{env: append(os.Environ(), mark)}
	pools := map[string]broker.PoolOptions{chaosCrew: s.options(o)}
	for range chaosLanes {
		l := new(lane)
		pools[laneName(len(s.lanes))] = l.options(s.env)
		s.lanes = append(s.lanes, l)
	}
	b, err := broker.New(broker.Options{Pools: pools})
	if err != nil {
		return nil, err
	}
	for i, l := range s.lanes {
		l.pool = b.Pool(laneName(i))
	}
	s.crew = &crew{broker: b, pool: b.Pool(chaosCrew), name: chaosCrew}
	return s, nil
}

func laneName(i int) string { return hostileCrew + "-" + strconv.Itoa(i) }

// options of the crew's pool. There is no CallTimeout: a frozen worker goes on with its calls, and of one that hangs Heartbeat tells.
func (s *stage) options(o *chaosOptions) broker.PoolOptions {
	return broker.PoolOptions{
		Command:     s.command(1),
		Max:         o.workers,
		InFlight:    chaosInFlight,
		Queue:       o.callers + crewPlaces, // everybody may wait at once
		MaxCalls:    500,                    // so that workers are recycled, too
		Heartbeat:   chaosBeat,
		CancelGrace: 500 * time.Millisecond, // more than a freeze
		RetireGrace: 2 * time.Second,
		StopGrace:   2 * time.Second,
		CloseGrace:  500 * time.Millisecond,
		KillGrace:   500 * time.Millisecond,
		Restart:     broker.Restart{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond},
	}
}

// command is the program of the crew in one of its versions, which differ in an argument that it does not read. Version 0 is the zero command:
// for a reload, that is the one of before.
func (s *stage) command(version int) (c broker.Command) {
	if version%versions != 0 {
		c = broker.Self(chaosCrew)
		c.Args = []string{strconv.Itoa(version % versions)}
		c.Env = s.env
	}
	return c
}

// versions is how many commands reloads choose from.
const versions = 3

// echo makes a call to the crew that is none of its load.
func (s *stage) echo(ctx context.Context) error {
	const sent = 42
	var answer int
	if err := s.crew.pool.Call(ctx, echoMethod, sent, &answer, broker.Idempotent()); err != nil {
		return err
	}
	if answer != sent {
		return errWrongAnswer
	}
	return nil
}

// counts is what has become of the workers of all pools, and what the library itself says must not happen.
func (s *stage) counts() (started, lost, internalErrors int64) {
	for _, p := range s.crew.broker.Snapshot().Pools {
		started += int64(p.Counters.Started)
		lost += int64(p.Counters.Deaths + p.Counters.BootFailures)
		internalErrors += int64(p.Counters.InternalErrors)
	}
	return started, lost, internalErrors
}

// warmUp does a little of everything and returns what a program holds when all of it is over: what comes with the first process and with
// many calls at a time stays, and is no leak. How many threads stay depends on how many system calls there were at a time, so all of it happens
// side by side, and more than once.
func warmUp(o *chaosOptions, mark string) (stock, error) {
	s, err := newStage(o, mark)
	if err != nil {
		return stock{}, err
	}
	calls := callLog{note: func(string, ...any) {}}
	ctx := context.Background()
	var all errgroup.Group
	for range o.callers {
		all.Go(func() error { // ends when its calls are answered, or one after callBound
			for range warmUpCalls {
				if err := prove(ctx, &calls, s.echo); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, l := range s.lanes {
		all.Go(func() error { // likewise
			for _, kind := range warmUpFaults {
				if err := l.throw(ctx, fault{kind: kind, beside: mostBeside}, &calls); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := errors.Join(all.Wait(), s.crew.close()); err != nil {
		return stock{}, fmt.Errorf("warm-up: %w", err)
	}
	return settledStock(ctx, mark)
}

const warmUpCalls = 100 // of each caller

// warmUpFaults is what each lane goes through: a worker that ends, one that leaves processes behind, one that writes much.
var warmUpFaults = []string{"exit-0", "daemon", "stderr-lines"}
