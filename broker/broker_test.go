package broker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/broker/brokertest"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/worker"
)

func TestNewReportsAllProblemsAtOnce(t *testing.T) {
	_, err := broker.New(broker.Options{})
	require.ErrorContains(t, err, "Pools is empty")

	_, err = broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
		"Images": {Command: broker.Command{Path: "x"}},
		"index":  {Min: 5, Max: 2},
		"other":  {Name: "another", InFlight: -1, Command: broker.Command{Path: "x"}},
	}})
	for _, text := range []string{`"Images"`, "Command: Path is empty", "Min: 5 is more than Max", `"another"`, "pool other: InFlight: -1"} {
		require.ErrorContains(t, err, text)
	}
}

func TestUnknownPoolSaysWhichThereAre(t *testing.T) {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
		"index": {Command: broker.Command{Path: "x"}}, "echo": {Command: broker.Command{Path: "x"}},
	}})
	require.NoError(t, err)
	defer b.Close()
	err = b.Call(t.Context(), "nowhere.method", nil, nil)
	require.ErrorIs(t, err, broker.ErrUnknownPool)
	require.ErrorContains(t, err, "echo, index")
	var failed *broker.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, broker.ClassCaller, failed.Class)
	require.Equal(t, broker.NotSent, failed.Delivery)
	require.Error(t, b.Pool("nowhere").Stop(t.Context()))
	require.Error(t, b.Pool("nowhere").Resize(t.Context(), 0, 1))
	require.Error(t, b.Pool("nowhere").Reload(t.Context(), broker.Command{}))
	require.Zero(t, b.Pool("nowhere").Snapshot())
}

func TestP23_MissingProgramFailsAtOnce(t *testing.T) {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"none": {Command: broker.Command{Path: "/no/such/program"}}}})
	require.NoError(t, err)
	defer b.Close()
	err = b.Call(t.Context(), "none.method", nil, nil)
	var failed *broker.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, broker.ClassUnavailable, failed.Class)
	require.True(t, broker.Retryable(err))
	require.ErrorContains(t, err, "/no/such/program")
}

func TestIdempotentCallsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var crew crashing
		b := crew.broker(t, 2)
		defer b.Close()

		out, err := broker.Call[int](t.Context(), b, "crew.work", nil, broker.Idempotent())
		require.NoError(t, err)
		require.Equal(t, 3, out)
		require.EqualValues(t, 2, b.Snapshot().Pools["crew"].Retries)
	})
}

func TestP14_RepeatingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var crew crashing
		b := crew.broker(t, 1000)
		defer b.Close()

		err := b.Call(t.Context(), "crew.work", nil, nil, broker.Idempotent())
		var failed *broker.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, broker.ClassInterrupted, failed.Class)
		require.Equal(t, 3, failed.Attempts)
		require.EqualValues(t, 2, b.Snapshot().Pools["crew"].Retries)
	})
}

func TestOtherCallsAreNotRepeatedOnceSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var crew crashing
		b := crew.broker(t, 1)
		defer b.Close()

		err := b.Call(t.Context(), "crew.work", nil, nil)
		var failed *broker.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, broker.Unknown, failed.Delivery)
		require.ErrorContains(t, err, "exited with code 7")
		require.Zero(t, b.Snapshot().Pools["crew"].Retries)
		require.NoError(t, b.Call(t.Context(), "crew.work", nil, nil))
	})
}

// P14: repetitions come out of a budget, so that a failure of all workers is not multiplied for ever.
func TestP14_RepetitionsComeOutOfABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var crew crashing
		b := crew.broker(t, 1<<30)
		defer b.Close()
		for range 60 { // of which 50 are repeated twice
			require.Error(t, b.Call(t.Context(), "crew.work", nil, nil, broker.Idempotent()))
		}
		require.EqualValues(t, 100, b.Snapshot().Pools["crew"].Retries)
	})
}

// crashing is a crew whose first workers exit with code 7 in the middle of their first call.
type crashing struct{ started *atomic.Int64 }

func (c *crashing) broker(t *testing.T, deaths int) *broker.Broker {
	c.started = new(atomic.Int64)
	start := func(_ process.Command, o process.Options) (*process.Process, error) {
		generation := int(c.started.Add(1))
		return process.StartFunc(func(m *process.Memory) int {
			exit := make(chan int, 2)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			w := worker.New(worker.Options{ExitGrace: -1})
			worker.Handle(w, "work", func(ctx context.Context, _ any) (int, error) {
				if generation <= deaths {
					exit <- 7
					<-ctx.Done()
				}
				return generation, nil
			})
			go func() {
				_ = w.Serve(ctx, m.Stdin, m.Stdout)
				exit <- 0
			}()
			return <-exit
		}, o), nil
	}
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"crew": {
		Command: broker.Command{Path: "crew"}, Max: 1, Start: start,
	}}})
	require.NoError(t, err)
	return b
}

// A call that may have run in its first attempt is not said to be not executed because a repetition was not.
func TestRepeatedCallKnowsOfAllItsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		b := brokertest.New(t, brokertest.Pools{"once": {Handlers: func(w *brokertest.Worker) {
			brokertest.Handle(w, "run", func(context.Context, int) (int, error) { ran++; return ran, nil })
		}}})
		b.Pool("once").Next("run", 1, brokertest.Killed(9, "")) // the first attempt's worker
		require.NoError(t, b.Call(t.Context(), "once.run", 1, nil, broker.Idempotent()), "the repetition succeeds")

		b.Pool("once").Next("run", 1, brokertest.Killed(9, ""))
		b.Pool("once").NextStart(10, brokertest.Exit(1, "no more"))
		err := b.Call(t.Context(), "once.run", 1, nil, broker.Idempotent())
		var e *broker.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, broker.ClassUnavailable, e.Class)
		require.Equal(t, broker.Unknown, e.Delivery)
		require.False(t, broker.Retryable(err))
		b.Pool("once").Reset()
	})
}
