package pool

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// requireGolden compares a snapshot's JSON with a file. Processes are renumbered, since their ids differ from run to run.
func requireGolden(t *testing.T, file string, s Snapshot) {
	t.Helper()
	for i := range s.Workers {
		if s.Workers[i].PID != 0 {
			s.Workers[i].PID = 100 + i
		}
	}
	got, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	file = filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.WriteFile(file, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got), "if this is as it should be: go test ./pool -run TestSnapshot -update")
}

// stillLoading is a worker that says what it does and never becomes ready.
func stillLoading(m *process.Memory) int {
	peer, err := rpc.Announce(context.Background(), memoryStream{m}, rpc.WorkerOptions{})
	if err != nil {
		return 1
	}
	_ = peer.Starting("loading the model")
	<-m.Killed
	_ = peer.Close()
	return 0
}

func TestSnapshot_OfABusyCrew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		handler := func(j job) (any, error) {
			if j.method == "deaf" {
				return stubborn(j)
			}
			return handle(j)
		}
		c := newCrewOf(t, Options{Max: 4, Dialect: &native{}}, func(launch int) process.Func {
			if launch == 2 {
				return stillLoading
			}
			return func(m *process.Memory) int { return nativeWorker(m, 2, handler) }
		})
		start := time.Now()
		c.serves()
		require.Error(t, c.Call(t.Context(), "fail", "no_paper", nil, CallOptions{}))
		require.Error(t, c.Call(t.Context(), "echo", make(chan int), nil, CallOptions{}))

		idle := c.acquire() // beside a call that its worker does not end
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		calls := []*asked{c.call(ctx, "deaf")}
		at(start, 2*time.Second)
		busy := c.acquire()
		calls = append(calls, c.lcall(t.Context(), busy, "slow"))
		at(start, 2500*time.Millisecond)
		calls = append(calls, c.async(func() error { return c.Call(t.Context(), "slow", "", nil, CallOptions{Attempt: 2}) }))
		at(start, 3*time.Second)
		calls = append(calls, c.call(t.Context(), "echo")) // they wait for one that is loading
		at(start, 4*time.Second)
		calls = append(calls, c.call(t.Context(), "echo"))
		at(start, 7*time.Second)
		requireGolden(t, "snapshot_busy.json", c.Snapshot())

		idle.Release()
		busy.Release()
		require.NoError(t, c.Close())
		for _, call := range calls {
			<-call.done
		}
	})
}

func TestSnapshot_OfACrewThatCannotStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		code := 3
		c := newCrew(t, Options{}, program{exits: &code, stderr: "no license\n"})
		require.Error(t, c.echo(t.Context(), "hi"))
		synctest.Wait()
		requireGolden(t, "snapshot_failing.json", c.Snapshot())
	})
}

func TestSnapshot_Phases(t *testing.T) {
	inEachDialect(t, Options{}, 1, handle, func(t *testing.T, c *crew) {
		require.Equal(t, "open", c.Snapshot().Phase)
		running := c.call(t.Context(), "slow")
		stop := c.async(func() error { return c.Stop(context.Background()) })
		s := c.Snapshot()
		require.Equal(t, "stopping", s.Phase)
		require.Equal(t, StateStopping, s.Workers[0].State)
		require.Equal(t, "asked", s.Workers[0].Why)
		require.NoError(t, stop.result())
		require.Error(t, running.result())
		s = c.Snapshot()
		require.Equal(t, "open", s.Phase)
		require.True(t, s.Asleep)
		require.Equal(t, map[string]uint64{"asked": 1}, s.Counters.Ends)

		l := c.acquire()
		shutdown := c.async(func() error { return c.Shutdown(context.Background()) })
		s = c.Snapshot()
		require.Equal(t, "draining", s.Phase)
		require.False(t, s.Closed)
		l.Release()
		require.NoError(t, shutdown.result())
		s = c.Snapshot()
		require.Equal(t, "closed", s.Phase)
		require.True(t, s.Closed)
		require.Equal(t, map[string]uint64{"asked": 1, "shutdown": 1}, s.Counters.Ends)
	})
}

func TestSnapshot_Idle(t *testing.T) {
	inEachDialect(t, Options{IdleTimeout: time.Hour}, 1, handle, func(t *testing.T, c *crew) {
		c.serves()
		time.Sleep(time.Minute)
		require.Equal(t, time.Minute, c.Snapshot().Workers[0].Idle.Round(time.Second))
		l := c.acquire()
		time.Sleep(time.Minute)
		require.Zero(t, c.Snapshot().Workers[0].Idle)
		require.Equal(t, time.Minute, c.Snapshot().Workers[0].Leases[0].Age)
		l.Release()
		require.Empty(t, c.Snapshot().Workers[0].Leases)
	})
}

func TestSnapshot_LateAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := nativeCrew(t, Options{}, 1, func(j job) (any, error) {
			if j.method == "late" {
				<-j.ctx.Done() // and answers all the same
			}
			return j.arg, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		late := c.call(ctx, "late")
		cancel()
		require.ErrorIs(t, late.result(), context.Canceled)
		c.serves()
		s := c.Snapshot()
		require.EqualValues(t, 1, s.Workers[0].LateFrames)
		require.EqualValues(t, 1, s.Counters.LateFrames)
		require.NoError(t, c.Close())
		require.EqualValues(t, 1, c.Snapshot().Counters.LateFrames, "they are remembered")
	})
}

// A snapshot does not change when the pool does, nor the pool when a snapshot does.
func TestSnapshot_IsAPlainValue(t *testing.T) {
	inEachDialect(t, Options{}, 2, handle, func(t *testing.T, c *crew) {
		l := c.acquire()
		require.Error(t, c.Call(t.Context(), "fail", "x", nil, CallOptions{}))
		s := c.Snapshot()
		before, err := json.Marshal(s)
		require.NoError(t, err)
		require.Error(t, c.Call(t.Context(), "fail", "x", nil, CallOptions{}))
		l.Release()
		require.NoError(t, c.Close())
		after, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, string(before), string(after))

		clear(s.Counters.Failures)
		s.Counters.Ends["shutdown"] = 99
		require.EqualValues(t, 2, c.Snapshot().Counters.Failures[Failure{ClassRemote, rpc.Answered}])
		require.EqualValues(t, 1, c.Snapshot().Counters.Ends["shutdown"])
	})
}

// slowToTell is a dialect whose connections take their time to say what is in flight.
type slowToTell struct {
	jsonLines
	asked, tell chan struct{}
}

func (d slowToTell) Connect(ctx context.Context, s Stream, o ConnOptions) (Conn, error) {
	c, err := d.jsonLines.Connect(ctx, s, o)
	return slowToTellConn{c, d}, err
}

type slowToTellConn struct {
	Conn
	d slowToTell
}

func (c slowToTellConn) InFlight() []rpc.InFlight {
	close(c.d.asked)
	<-c.d.tell
	return nil
}

// P20: a connection that is slow to answer the snapshot holds up nobody else.
func TestP20_SnapshotHoldsNoLock(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := slowToTell{asked: make(chan struct{}), tell: make(chan struct{})}
		c := newCrew(t, Options{Dialect: d})
		c.serves()
		looking := c.async(func() error { c.Pool.Snapshot(); return nil })
		<-d.asked
		c.serves()
		require.False(t, looking.over())
		close(d.tell)
		<-looking.done
		require.NoError(t, c.Stop(context.Background())) // its connection cannot be asked again
	})
}

// TestSnapshot_CountsEveryCallOnce has workers die under many callers: each call is counted when it has returned, once.
func TestSnapshot_CountsEveryCallOnce(t *testing.T) {
	const callers, each = 16, 100
	c := nativeCrew(t, Options{Max: 3, Restart: Restart{Min: time.Millisecond, Max: 2 * time.Millisecond}}, 3, handle)
	var succeeded, failed atomic.Int64
	var calls sync.WaitGroup
	for caller := range callers {
		calls.Go(func() {
			for i := range each {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+i%7)*100*time.Microsecond)
				method := "echo"
				switch {
				case caller == 0 && i%10 == 5:
					method = "exit"
				case i%5 == 2:
					method = "slow" // until its caller leaves
				case i%5 == 4:
					method = "fail"
				}
				if err := c.Call(ctx, method, "x", nil, CallOptions{}); err == nil {
					succeeded.Add(1)
				} else {
					failed.Add(1)
				}
				cancel()
				if i%10 == 0 {
					s := c.Snapshot().Counters
					if s.Succeeded > callers*each {
						t.Errorf("%d successes", s.Succeeded) // a difference below zero
					}
				}
			}
		})
	}
	calls.Wait()
	for _, when := range []string{"open", "closed"} {
		s := c.Snapshot().Counters
		require.EqualValues(t, succeeded.Load(), s.Succeeded, when)
		var sum int64
		for _, n := range s.Failures {
			sum += int64(n)
		}
		require.Equal(t, failed.Load(), sum, when)
		require.NoError(t, c.Close())
	}
}

// An answer may be counted after the worker that gave it has gone.
func TestSnapshot_CountsLateCallers(t *testing.T) {
	p, err := New(Options{Max: 1, Start: noStart})
	require.NoError(t, err)
	w := readyWorker(p, 2)
	p.countAnswer(w, nil)
	p.post(w, event{kind: evTerminated})
	p.countAnswer(w, nil)
	require.EqualValues(t, 2, p.Snapshot().Counters.Succeeded)
	require.EqualValues(t, 2, w.calls.Load())
}

func TestTally(t *testing.T) {
	var n tally
	count, closed := n.add()
	require.EqualValues(t, 1, count)
	require.False(t, closed)
	require.EqualValues(t, 1, n.close())
	count, closed = n.add()
	require.EqualValues(t, 2, count)
	require.True(t, closed)
	require.EqualValues(t, 2, n.Load())
}

func TestState_MarshalText(t *testing.T) {
	for s := range numStates {
		text, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, `"`+s.String()+`"`, string(text))
	}
}
