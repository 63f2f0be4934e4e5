package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stdcrew/stdcrew/pool"
)

// Options says which pools a broker has.
type Options struct {
	// Pools are the crews, by the name that calls use: letters a to z, digits, _ and -. There must be at least one.
	Pools map[string]PoolOptions

	// Log receives what happens to workers, and their standard error, for pools without a Log of their own. If nil, nothing is logged.
	Log *slog.Logger
}

// PoolOptions says what one crew runs and how: how many workers, timeouts, when they are replaced. Only Command is needed; Name is the key in
// Options.Pools and stays empty. The fields, their units and defaults are listed at [pool.Options].
type PoolOptions = pool.Options

// Restart is a range of delays, for PoolOptions.Restart.
type Restart = pool.Restart

// Broker is a set of named pools behind one Call. All methods may be called by any goroutines at once.
type Broker struct {
	pools map[string]*Pool
	names string // of the pools, for error texts
}

// New makes a broker. It reports everything that is wrong with the options at once and waits for nothing: with Min 0 no process starts before
// the first call, otherwise the Min workers start in the background. The broker is to be ended by Shutdown or Close.
//
// In a process that [Self] started, New fails: worker.Main was forgotten, and a program that starts itself must not do so again.
func New(o Options) (*Broker, error) {
	if err := forgottenMain(); err != nil {
		return nil, err
	}
	if len(o.Pools) == 0 {
		return nil, errors.New("broker: Pools is empty; name at least one pool")
	}
	names := slices.Sorted(maps.Keys(o.Pools))
	b := &Broker{pools: make(map[string]*Pool, len(names)), names: strings.Join(names, ", ")}
	var problems []error
	for _, name := range names {
		p, err := newPool(name, o.Pools[name], o.Log)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		b.pools[name] = p
	}
	if len(problems) > 0 {
		_ = b.Close() // what has been made has started nothing of use
		return nil, fmt.Errorf("broker: %w", errors.Join(problems...))
	}
	return b, nil
}

func newPool(name string, o PoolOptions, log *slog.Logger) (*Pool, error) {
	if name == "" {
		return nil, errors.New("a pool's name is empty; use a-z, 0-9, _ and -")
	}
	var named error
	if o.Name != "" && o.Name != name {
		named = fmt.Errorf("pool %s: Name: %q differs from the key in Pools; leave it empty", name, o.Name)
	}
	o.Name = name
	if o.Log == nil {
		o.Log = log
	}
	crew, err := pool.New(o)
	if named != nil && err == nil {
		_ = crew.Close() // it is not what was asked for
	}
	if err = errors.Join(named, err); err != nil {
		return nil, err
	}
	return &Pool{name: name, crew: crew, budget: newBudget()}, nil
}

// Call runs a method on a worker: "images.resize" is the method resize of the pool images. It blocks until the answer is there, ctx or a
// [Timeout] has ended, or no worker can be had; see [Error] for how it fails. in is anything that MessagePack encodes (see Values above), out a pointer to what
// the answer decodes into, or nil. Neither is touched once Call has returned.
//
// A *[]byte or *msgpack.RawMessage as out uses the memory again that it points to, if there is enough: who makes many large calls allocates nothing for
// their answers. Who keeps an answer passes an empty one, as [Call] does. Large bytes as in are sent from where they are.
func (b *Broker) Call(ctx context.Context, method string, in, out any, opts ...CallOption) error {
	name, bare, _ := strings.Cut(method, ".")
	p := b.Pool(name)
	if bare == "" && p.missing == nil {
		p = noMethod(name, method)
	}
	return p.Call(ctx, bare, in, out, opts...)
}

// Call is Broker.Call with the answer as a value.
func Call[Out any](ctx context.Context, b *Broker, method string, in any, opts ...CallOption) (Out, error) {
	var out Out
	err := b.Call(ctx, method, in, &out, opts...)
	return out, err
}

// Pool returns the pool of that name. It is never nil: calls to one that the broker does not have fail and say which there are.
func (b *Broker) Pool(name string) *Pool {
	if p, ok := b.pools[name]; ok {
		return p
	}
	return &Pool{name: name, missing: fmt.Errorf("%w %q; there is %s", ErrUnknownPool, name, b.names)}
}

// noMethod stands for the pool where a call names no method of it: it fails and says so.
func noMethod(name, method string) *Pool {
	return &Pool{name: name, missing: fmt.Errorf("%q names no method; write %s.METHOD", method, name)}
}

// Ready blocks until every pool has its Min workers ready, or ctx ends, or a pool cannot start any.
func (b *Broker) Ready(ctx context.Context) error {
	return b.each(func(p *pool.Pool) error { return p.Ready(ctx) })
}

// Shutdown refuses new calls, serves those that wait and run until ctx ends, and then does what Close does.
func (b *Broker) Shutdown(ctx context.Context) error {
	return b.each(func(p *pool.Pool) error { return p.Shutdown(ctx) })
}

// Close fails the calls that wait and run with [ErrClosed], stops all workers and waits until they are gone, at most for StopGrace + CloseGrace +
// KillGrace + DrainTimeout (2 s, if that is less). The error says what had to be forced. Further calls of Close and Shutdown wait for the same end.
func (b *Broker) Close() error {
	return b.each((*pool.Pool).Close)
}

// each does the same to all pools at once.
func (b *Broker) each(do func(*pool.Pool) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, p := range b.pools {
		wg.Go(func() { // ends with do, which is bounded
			if err := do(p.crew); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err) // it names the pool
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Snapshot is what a broker looks like at one moment: its pools by name. It is a plain value that may be kept, and fit for encoding/json.
type Snapshot struct {
	Pools map[string]PoolSnapshot `json:"pools"`
}

// PoolSnapshot is what one pool looks like, with what the broker itself counts.
type PoolSnapshot struct {
	pool.Snapshot
	Retries  uint64 `json:"retries"`  // attempts beyond the first that the broker has made; each is counted with the calls, too
	Poisoned uint64 `json:"poisoned"` // calls that were given up because they crashed one worker after another: ErrPoison
}

// Failure is a key of the failed calls in a PoolSnapshot's Counters.
type Failure = pool.Failure

// Snapshot returns what the broker looks like now, pool by pool. It works after Close, too.
func (b *Broker) Snapshot() Snapshot {
	s := Snapshot{Pools: make(map[string]PoolSnapshot, len(b.pools))}
	for name, p := range b.pools {
		s.Pools[name] = p.Snapshot()
	}
	return s
}
