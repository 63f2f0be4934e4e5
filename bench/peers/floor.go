package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/stdcrew/stdcrew/bench/internal/rawpipe"
)

// The floor: ping-pong by system calls that block, with one child, or with several at the same time from one host. No poller, no frame and
// no encoding is in between, and nobody waits for a worker: there are as many callers as children.
// By the runtime's poller eight children make less, free and pinned, than with a blocked thread each.
var floor = contender{
	name:  floorName,
	what:  "blocking system calls, as many callers as workers, no frames, no encoding, no queue",
	start: startFloor,
}

const floorRole = "floor"

func init() { roles[floorRole] = func(args []string) error { return rawpipe.Echo(args[0]) } }

func startFloor(w workload) (*session, error) {
	if rawpipe.Unsupported != nil {
		return nil, rawpipe.Unsupported
	}
	size := payloads[w.Payload]
	var children []*child
	closeAll := func() (err error) {
		for _, c := range children {
			err = errors.Join(err, c.end())
		}
		return err
	}
	for range min(w.Callers, w.Workers) {
		c, err := startChild(floorRole, strconv.Itoa(size))
		if err != nil {
			return nil, errors.Join(err, closeAll())
		}
		children = append(children, c)
		widen(c, size)
	}
	pids := func() (ids []int) {
		for _, c := range children {
			ids = append(ids, c.pid())
		}
		return ids
	}
	caller := func(i int) func(context.Context) error {
		to, from := int(children[i].to.Fd()), int(children[i].from.Fd()) // asking for them makes them block
		sent, got, proven := bytesOf(size, i), make([]byte, size), false
		return func(context.Context) error {
			if err := rawpipe.RoundTrip(to, from, sent, got); err != nil {
				return err
			}
			fully := !proven
			proven = true
			return checkBytes(sent, got, fully)
		}
	}
	return &session{caller: caller, callers: len(children), pids: pids, close: closeAll}, nil
}
