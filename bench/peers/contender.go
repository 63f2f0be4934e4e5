package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
)

// contender is one way to have other processes answer calls.
type contender struct {
	name    string
	module  string // whose version is reported; empty for what is Go's own, or ours
	what    string // how it is used, for the report
	payload string // the only one that it is measured with; if empty, all
	heals   bool   // whether it replaces a dead worker by itself
	// missing names what has to be installed for it and is not. If nil, nothing has to be.
	missing func() string
	version func() string // if nil, that of the module
	start   func(w workload) (*session, error)
	// life starts a worker, kills it and has the next one answer. If nil, it is done by what start returns.
	life func() (start, recovery time.Duration, err error)
}

// session is a started contender.
type session struct {
	// caller returns what the i-th caller does to make one call. Those of different callers may run at the same time.
	caller func(i int) func(context.Context) error
	host   *host // who makes and measures the calls in place of caller, if not nil
	// callers is how many there are in place of the workload's, if not zero: a floor has no queue.
	callers int
	pids    func() []int // of the workers that run
	close   func() error
}

// contenders is all of them; the first is the floor.
var contenders = []contender{floor, crew, generatedCrew, shortCrew}

const floorName = "raw pipe"

// with returns those that are measured with a payload.
func with(payload string, among []contender) []contender {
	return slices.DeleteFunc(slices.Clone(among), func(c contender) bool { return c.payload != "" && c.payload != payload })
}

// conn is a connection to one worker process of those that bring no pool.
type conn interface {
	echo(ctx context.Context, b []byte) ([]byte, error)
	turn(ctx context.Context, r *Record) (*Record, error)
	pid() int
	close() error
}

// pool makes of one connection a contender of so many workers. Where a worker takes one call at a time, callers take turns by a channel of
// free workers. Otherwise they are spread evenly and nothing limits them, which is how these libraries are fastest.
func pool(dial func(w workload) (conn, error)) func(workload) (*session, error) {
	return func(w workload) (*session, error) {
		var all []conn
		closeAll := func() (err error) {
			for _, c := range all {
				err = errors.Join(err, c.close())
			}
			return err
		}
		freeConns := make(chan conn, w.Workers)
		for range w.Workers {
			c, err := dial(w)
			if err != nil {
				return nil, errors.Join(err, closeAll())
			}
			all = append(all, c)
			freeConns <- c
		}
		pids := func() (ids []int) {
			for _, c := range all {
				ids = append(ids, c.pid())
			}
			return ids
		}
		caller := func(i int) func(context.Context) error {
			call := callOf(w, i)
			if !w.alone() || w.Callers <= w.Workers {
				return func(ctx context.Context) error { return call(ctx, all[i%len(all)]) }
			}
			return func(ctx context.Context) error {
				c := <-freeConns // a call is never far from its end
				defer func() { freeConns <- c }()
				return call(ctx, c)
			}
		}
		return &session{caller: caller, pids: pids, close: closeAll}, nil
	}
}

// calls is what a contender has to have for callOf.
type calls interface {
	echo(ctx context.Context, b []byte) ([]byte, error)
	turn(ctx context.Context, r *Record) (*Record, error)
}

// callOf returns the i-th caller's call: its first answer is compared byte by byte, later ones for what cannot be right by chance.
func callOf(w workload, i int) func(context.Context, calls) error {
	proven := false
	if w.Payload == recordPayload {
		sent := recordOf(i)
		return func(ctx context.Context, to calls) error {
			got, err := to.turn(ctx, &sent)
			if err == nil {
				err = checkRecord(&sent, got, !proven)
			}
			proven = proven || err == nil
			return err
		}
	}
	sent := bytesOf(payloads[w.Payload], i)
	return func(ctx context.Context, to calls) error {
		got, err := to.echo(ctx, sent)
		if err == nil {
			err = checkBytes(sent, got, !proven)
		}
		proven = proven || err == nil
		return err
	}
}

// load makes the workload's calls.
func (s *session) load(w workload) gauge.Load {
	if s.host != nil {
		return s.host
	}
	callers := w.Callers
	if s.callers != 0 {
		callers = s.callers
	}
	l := &gauge.ClosedLoop{PIDs: s.pids, Patience: patience, GiveUp: func() { _ = s.kill() }}
	for i := range callers {
		l.Callers = append(l.Callers, s.caller(i))
	}
	return l
}

// kill kills the workers, as an out-of-memory killer would, and a host that is not this process.
func (s *session) kill() error {
	if s.host != nil {
		s.host.kill()
		return nil
	}
	var err error
	for _, pid := range s.pids() {
		p, e := os.FindProcess(pid)
		if e == nil {
			e = p.Kill()
		}
		err = errors.Join(err, e)
	}
	return err
}
