package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// TestInterplay has everything at once happen to a crew that its users and workers can do, and looks after each step at what must be true all the
// time. When they leave it alone, nobody is left waiting, and the crew is as large as it should be and of full use. STDCREW_INTERPLAY is the number
// of seeds to run instead of a few, STDCREW_INTERPLAY_FROM the first.
func TestInterplay(t *testing.T) {
	first, seeds := envNumber("STDCREW_INTERPLAY_FROM", 0), envNumber("STDCREW_INTERPLAY", 30)
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) { newInterplay(t, rand.New(rand.NewPCG(uint64(seed), 31))).run() })
		})
	}
}

func envNumber(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// interplay is one run.
type interplay struct {
	*crew
	random  *rand.Rand
	speaker speaker
	events  *listener

	calm   atomic.Bool   // workers behave from now on
	served atomic.Uint64 // calls that workers have got
	calls  atomic.Uint64 // that have returned, and Acquires that have failed
	others sync.WaitGroup

	mu      sync.Mutex
	pending map[string]int // what has not returned
	procs   []*process.Process

	processes int // when last looked at
}

func newInterplay(t *testing.T, random *rand.Rand) *interplay {
	i := &interplay{random: random, speaker: speakers[random.IntN(2)], pending: map[string]int{}}
	maximum := 1 + random.IntN(4)
	o := Options{
		Command: process.Command{Path: "good"},
		Dialect: i.speaker.dialect(),
		Start:   i.start,
		Max:     maximum,
		Surge:   []int{-1, -1, 1, 2}[random.IntN(4)],
		Queue:   []int{-1, 5, 1024, 1024}[random.IntN(4)],

		MaxCalls:    []int{0, 3, 20}[random.IntN(3)],
		MaxAge:      []time.Duration{0, 20 * time.Second}[random.IntN(2)],
		EventBuffer: 1 << 16,
		IdleTimeout: 30 * time.Second,
		CallTimeout: []time.Duration{0, time.Second}[random.IntN(2)],
		CancelGrace: time.Second,
		RetireGrace: 10 * time.Second,
		StopGrace:   time.Second,
		CloseGrace:  time.Second,
		KillGrace:   time.Second,
	}
	if random.IntN(3) == 0 {
		o.StartHook = func(ctx context.Context, c Conn) error { return c.Call(ctx, "echo", "hook", nil, rpc.CallOptions{}) }
		o.ExitHook = func(Exit) { time.Sleep(time.Second) }
	}
	if o.Queue > 0 {
		o.QueueTimeout = []time.Duration{0, 20 * time.Second}[random.IntN(2)]
	}
	var drawing sync.Mutex
	jitter := rand.New(rand.NewPCG(random.Uint64(), 1))
	o.random = func() float64 {
		drawing.Lock()
		defer drawing.Unlock()
		return jitter.Float64()
	}
	i.crew = newCrew(t, o)
	i.events = i.listen()
	require.NoError(t, i.Resize(t.Context(), random.IntN(maximum+1), maximum)) // not before somebody listens
	return i
}

// start launches a program of some kind that follows from the number of the launch, or one that does not start if the command says so.
func (i *interplay) start(c process.Command, o process.Options) (*process.Process, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	random := rand.New(rand.NewPCG(uint64(len(i.procs)), 7))
	calm, loads, deaf := i.calm.Load(), time.Duration(1+random.IntN(1500))*time.Millisecond, random.IntN(8) == 0
	run := i.speaker.worker(1+random.IntN(3), i.serve)
	switch dice := random.IntN(60); {
	case c.Path == "missing", !calm && dice < 2:
		return nil, errors.New("no such program")
	case c.Path == "broken", !calm && dice < 10:
		run = func(*process.Memory) int { return 1 }
	case !calm && dice < 13:
		run = i.speaker.unable("no license")
	case !calm && dice < 16:
		run = func(m *process.Memory) int { <-m.Killed; return 0 }
	}
	proc := process.StartFunc(func(m *process.Memory) int {
		if deaf {
			m.Signals()
		}
		select {
		case <-time.After(loads):
			return run(m)
		case <-m.Killed:
			return 0
		}
	}, o)
	i.procs = append(i.procs, proc)
	return proc, nil
}

// serve is what workers do with a call.
func (i *interplay) serve(j job) (any, error) {
	dice, takes := i.served.Add(1)*7919%61, time.Duration(1+i.served.Load()*104729%700)*time.Millisecond
	switch {
	case i.calm.Load():
	case dice == 0:
		j.exit(3)
	case dice == 1:
		j.leave()
	case dice == 2:
		j.print("oops\n")
	case dice == 3:
		return nil, errors.New("cannot")
	case dice == 4:
		takes = time.Minute // whatever its caller thinks of that
	}
	select {
	case <-time.After(takes):
	case <-j.over:
	}
	return j.arg, nil
}

// do has f run on a goroutine of its own, under a name by which it is known while it runs.
func (i *interplay) do(name string, f func()) {
	i.note(name, 1)
	i.others.Go(func() { // ends with f
		f()
		i.note(name, -1)
	})
}

func (i *interplay) note(name string, n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.pending[name] += n; i.pending[name] == 0 {
		delete(i.pending, name)
	}
}

func (i *interplay) left() map[string]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	left := make(map[string]int, len(i.pending))
	for name, n := range i.pending {
		left[name] = n
	}
	return left
}

// context returns a context that ends some time, or never.
func (i *interplay) context(longest time.Duration) (context.Context, context.CancelFunc) {
	if i.random.IntN(2) == 0 {
		return context.Background(), func() {}
	}
	return context.WithTimeout(context.Background(), time.Duration(1+i.random.Int64N(int64(longest))))
}

func (i *interplay) run() {
	for range 150 {
		i.step()
		if i.random.IntN(3) == 0 {
			synctest.Wait()
			i.checkHeld()
		}
		i.check()
		time.Sleep(time.Duration(1+i.random.IntN(200)) * time.Millisecond)
		i.check()
	}
	if i.random.IntN(4) > 0 {
		i.rest()
	}
	i.finish()
}

// step does one thing.
func (i *interplay) step() {
	switch dice := i.random.IntN(40); {
	case dice < 20:
		i.call(CallOptions{Attempt: 1 + i.random.IntN(2)})
	case dice < 24:
		i.call(CallOptions{Attempt: 2, Alone: true})
	case dice < 27:
		i.lease()
	case dice < 29:
		i.kill()
	case dice < 32:
		ctx, cancel := i.context(20 * time.Second)
		command := process.Command{Path: []string{"good", "better", "", "broken", "missing"}[i.random.IntN(5)]}
		i.do("Reload", func() {
			defer cancel()
			_ = i.Reload(ctx, command)
		})
	case dice < 35:
		synctest.Wait()
		i.check() // how many processes there are at this time, which a smaller crew may keep
		ctx, cancel := i.context(20 * time.Second)
		maximum := 1 + i.random.IntN(5)
		minimum := i.random.IntN(maximum + 1)
		i.do("Resize", func() {
			defer cancel()
			_ = i.Resize(ctx, minimum, maximum)
		})
		synctest.Wait()
	case dice < 36:
		ctx, cancel := i.context(5 * time.Second)
		i.do("Stop", func() {
			defer cancel()
			_ = i.Stop(ctx)
		})
	case dice < 37:
		ctx, cancel := i.context(5 * time.Second)
		i.do("Ready", func() {
			defer cancel()
			_ = i.Ready(ctx)
		})
	default:
		time.Sleep(time.Duration(i.random.IntN(30_000)) * time.Millisecond)
	}
}

func (i *interplay) call(o CallOptions) {
	ctx, cancel := i.context(3 * time.Second)
	i.do("Call", func() {
		defer cancel()
		_ = i.Call(ctx, "echo", "", nil, o)
		i.calls.Add(1)
	})
}

func (i *interplay) lease() {
	ctx, cancel := i.context(3 * time.Second)
	calls, pause := i.random.IntN(4), time.Duration(1+i.random.IntN(3000))*time.Millisecond
	i.do("Lease", func() {
		defer cancel()
		l, err := i.Acquire(ctx)
		if err != nil {
			i.calls.Add(1)
			return
		}
		defer l.Release()
		for range calls {
			_ = l.Call(context.Background(), "echo", "", nil, CallOptions{})
			i.calls.Add(1)
			time.Sleep(pause)
		}
	})
}

func (i *interplay) kill() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if n := len(i.procs); n > 0 {
		_ = i.procs[max(0, n-1-i.random.IntN(6))].Signal(process.KILL)
	}
}

// check looks at what holds whenever nobody has the mutex.
func (i *interplay) check() {
	p := i.Pool
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.count()
	require.Equal(i.t, c, p.census, "the census is counted afresh")
	bound := p.max + max(1, i.opts.Surge)
	require.LessOrEqual(i.t, c.ready+c.starting+c.trial, bound, "%+v", c)
	require.LessOrEqual(i.t, c.processes(), max(bound, i.processes), "no process is started that there is no room for: %+v", c)
	i.processes = c.processes()
	require.LessOrEqual(i.t, c.trial, 1)
	require.True(i.t, p.owed == 0 || i.opts.Surge == 0)

	held, empty := 0, false
	for _, s := range p.slots {
		w := s.worker
		if w == nil {
			continue
		}
		require.GreaterOrEqual(i.t, w.inFlight, 0)
		require.GreaterOrEqual(i.t, w.inFlight, len(w.leases))
		require.Equal(i.t, w.open && w.hold == holdNone && w.inFlight < w.places, w.next != nil, "a worker is listed if and only if it has a place for all")
		if !w.open || w.isLost() {
			continue
		}
		require.LessOrEqual(i.t, w.inFlight, w.places)
		switch w.hold {
		case holdEmptying:
			held++
			empty = empty || w.inFlight == 0 && len(w.leases) == 0
		case holdAlone:
			require.Equal(i.t, 1, w.inFlight)
		case holdNone:
			empty = empty || w.inFlight == 0
			if w.inFlight < w.places {
				require.Zero(i.t, p.queue.retried.length+p.queue.waiting.length, "nobody waits while there is a place")
			}
		}
	}
	require.LessOrEqual(i.t, held, p.queue.alone.length, "no worker is held back for nobody")
	if p.queue.alone.length > 0 {
		require.False(i.t, empty, "nobody waits to be alone while a worker is empty")
	}
}

// checkHeld looks at what holds when nothing is on its way: as many workers are held back as there are callers that want one alone, if there are
// so many.
func (i *interplay) checkHeld() {
	p := i.Pool
	p.mu.Lock()
	defer p.mu.Unlock()
	held, able := 0, 0
	for _, s := range p.slots {
		if w := s.worker; w != nil && w.open && w.hold <= holdEmptying && w.mayBeAlone() {
			able++
			held += int(w.hold)
		}
	}
	require.Equal(i.t, min(able, p.queue.alone.length), held)
}

// rest leaves the crew alone, whose workers now behave. Everybody gets what they wait for, and the crew shrinks to its Min; then it serves as many
// at a time as it should.
func (i *interplay) rest() {
	i.calm.Store(true)
	for range 600 {
		time.Sleep(time.Second)
		i.check()
	}
	require.Empty(i.t, i.left(), "somebody waits for what does not come: %s", i.state())
	require.Eventually(i.t, i.isQuiet, time.Hour, 5*time.Second, "%s", i.state())

	if i.opts.CallTimeout > 0 || i.opts.MaxCalls > 0 || i.opts.Queue < 100 {
		return
	}
	for range i.max * 20 {
		i.do("Call", func() {
			i.calls.Add(1)
			if err := i.Call(context.Background(), "echo", "", nil, CallOptions{}); err != nil && !errors.Is(err, ErrQueueTimeout) {
				i.t.Error(err)
			}
		})
	}
	most := 0
	for len(i.left()) > 0 {
		time.Sleep(100 * time.Millisecond)
		i.check()
		most = max(most, i.processes)
	}
	require.GreaterOrEqual(i.t, most, i.max, "the crew is of full size when it is needed")
}

// isQuiet says that there is nothing to do, and all that is left are Min workers.
func (i *interplay) isQuiet() bool {
	p := i.Pool
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.min
	if p.asleep {
		kept = 0
	}
	c := p.census
	return p.quiet() && p.reload == nil && p.phase == phaseOpen && c.ready == kept && c.processes() == kept && c.due == 0 && p.owed == 0
}

func (i *interplay) state() string {
	i.Pool.mu.Lock()
	defer i.Pool.mu.Unlock()
	d := i.demand()
	return fmt.Sprintf("%+v asleep %v, phase %v, reload %+v", d, i.asleep, i.phase, i.reload)
}

// finish ends the pool in one way or another, and nothing is left.
func (i *interplay) finish() {
	ended := make(chan struct{})
	go func() { // ends with Close, which is bounded
		defer close(ended)
		if i.random.IntN(2) == 0 {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = i.Shutdown(ctx)
		}
		_ = i.Close()
	}()
	<-ended
	time.Sleep(time.Minute) // leases are released by then
	require.Empty(i.t, i.left(), "somebody waits for a pool that is closed: %s", i.state())
	i.others.Wait()

	counted := i.Snapshot().Counters
	answers := counted.Succeeded
	for _, n := range counted.Failures {
		answers += n
	}
	require.Equal(i.t, i.calls.Load(), answers, "every call is counted once")
	ends := uint64(0)
	for _, n := range counted.Ends {
		ends += n
	}
	require.Equal(i.t, counted.Started, ends, "every process has ended once")
	<-i.events.done
	checkStory(i.t, i.events.all(), counted)
}
