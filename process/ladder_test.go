package process

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// deaf ignores everything but KILL.
func deaf(m *Memory) int {
	m.Signals()
	<-m.Killed
	return 0
}

// twoStages is the two-stage kill of L1.1.
func twoStages(grace time.Duration) []Rung {
	return []Rung{{Step: Terminate, Signal: INT, Grace: grace}, {Step: Kill}}
}

// startSettled starts f and waits until it is blocked. It is for synctest bubbles.
func startSettled(f Func, o Options) *Process {
	p := StartFunc(f, o)
	synctest.Wait()
	return p
}

func TestLadderDefaults(t *testing.T) {
	require.Equal(t, []Rung{
		{Step: Ask, Grace: 5 * time.Second},
		{Step: CloseStdin, Grace: 2 * time.Second},
		{Step: Terminate, Grace: 5 * time.Second},
		{Step: Kill},
	}, Ladder(0, 0, 0), "zero is the default")
	require.Equal(t, []Rung{
		{Step: Ask},
		{Step: CloseStdin, Grace: time.Minute},
		{Step: Terminate},
		{Step: Kill},
	}, Ladder(-1, time.Minute, -1), "negative does not wait")
}

func TestL1_1_KillExactlyAtTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		received := make(chan Signal, 1)
		p := startSettled(func(m *Memory) int {
			received <- <-m.Signals()
			<-m.Killed
			return 0
		}, Options{})
		begun := time.Now()
		go p.Stop(t.Context(), twoStages(5*time.Second), nil)

		time.Sleep(5*time.Second - time.Nanosecond)
		synctest.Wait()
		require.Equal(t, INT, <-received)
		require.False(t, isClosed(p.Exited()), "killed before the grace was over")

		<-p.Exited()
		require.Equal(t, 5*time.Second, time.Since(begun))
		require.Equal(t, KILL, p.Report().Signal)
	})
}

func TestL1_2_TakeOneRung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(func(m *Memory) int { return int(<-m.Signals()) }, Options{})
		require.NoError(t, p.Take(Rung{Step: Terminate, Signal: INT, Grace: time.Hour}))
		report := reportOf(p)
		require.Equal(t, int(INT), report.Code)
		require.Equal(t, KillerAsked, report.Killer)
		require.Zero(t, report.Uptime, "nothing is waited for")
		require.ErrorIs(t, p.Take(Rung{Step: Terminate, Signal: INT}), ErrExited)
		require.ErrorIs(t, p.Take(Rung{Step: Kill}), ErrExited)
	})
}

func TestL1_1_NegativeGraceIsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(deaf, Options{})
		begun := time.Now()
		report := p.Stop(t.Context(), Ladder(-1, -1, -1), nil)
		require.Equal(t, KILL, report.Signal)
		require.Zero(t, time.Since(begun))
	})
}

func TestL1_2_SignalFindsItExited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(func(*Memory) int { return 3 }, Options{})
		begun := time.Now()
		require.ErrorIs(t, p.Do(Terminate), ErrExited)
		report := p.Stop(t.Context(), nil, func() { t.Error("asked a dead process") })
		require.Zero(t, time.Since(begun), "a timer ran")
		require.Equal(t, 3, report.Code)
		require.Empty(t, report.Killer, "it was gone before")
	})
}

// failing is a child that cannot be signaled.
type failing struct {
	child
	err error
}

func (f failing) signal(...Signal) error { return f.err }

func TestL1_2_OtherFailuresToSignalAreReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(deaf, Options{})
		real, denied := p.child, errors.New("denied")
		p.child = failing{real, denied}
		require.ErrorIs(t, p.Do(Terminate), denied)
		require.ErrorIs(t, p.Signal(TERM), denied)
		p.child = real
		require.NoError(t, p.Do(Kill))
		<-p.Ended()
	})
}

func TestL1_3_ExitCancelsTheKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(func(m *Memory) int {
			<-m.Signals()
			time.Sleep(time.Second)
			return 0
		}, Options{})
		begun := time.Now()
		report := p.Stop(t.Context(), twoStages(5*time.Second), nil)
		require.Equal(t, time.Second, time.Since(begun))
		require.Equal(t, 0, report.Code)
		require.Zero(t, report.Signal)
	})
}

func TestL1_3_P37_StoppingTwiceArmsOneTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var received []Signal
		p := startSettled(func(m *Memory) int {
			for {
				select {
				case s := <-m.Signals():
					mu.Lock()
					received = append(received, s)
					mu.Unlock()
				case <-m.Killed:
					return 0
				}
			}
		}, Options{})
		begun := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				report := p.Stop(t.Context(), twoStages(5*time.Second), nil)
				require.Equal(t, KILL, report.Signal)
				require.Equal(t, 5*time.Second, time.Since(begun), "joined the first climb")
			})
			time.Sleep(time.Second)
		}
		wg.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []Signal{INT}, received)
	})
}

func TestStopClimbsTheWholeLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := make(chan string, 8)
		begun := time.Now()
		note := func(what string) { steps <- time.Since(begun).String() + " " + what }
		p := startSettled(func(m *Memory) int {
			signals := m.Signals()
			io.Copy(io.Discard, m.Stdin)
			note("stdin closed")
			note((<-signals).String())
			<-m.Killed
			note("killed")
			return 0
		}, Options{})
		p.Stop(t.Context(), Ladder(0, 0, 0), func() { note("asked") })
		for _, want := range []string{"0s asked", "5s stdin closed", "7s TERM", "12s killed"} {
			require.Equal(t, want, <-steps)
		}
	})
}

func TestStopWithoutAskSkipsTheRung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(func(m *Memory) int {
			io.Copy(io.Discard, m.Stdin)
			return 0
		}, Options{})
		begun := time.Now()
		require.Equal(t, "stopped by us (asked): exited with code 0 after 0s", p.Stop(t.Context(), nil, nil).String())
		require.Zero(t, time.Since(begun))
	})
}

func TestP36_AskThatBlocksDoesNotHoldUpTheLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(deaf, Options{})
		begun := time.Now()
		report := p.Stop(t.Context(), Ladder(0, 0, 0), func() { <-p.Exited() })
		require.Equal(t, 12*time.Second, time.Since(begun))
		require.Equal(t, KILL, report.Signal)
	})
}

func TestStopGoesOnAfterItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(deaf, Options{})
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Zero(t, p.Stop(ctx, twoStages(5*time.Second), nil), "it lives")
		require.Equal(t, time.Second, time.Since(begun))
		<-p.Ended()
		require.Equal(t, 5*time.Second, time.Since(begun))
	})
}

func TestP36_StopOfAnUnkillableProcessReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startSettled(deaf, Options{})
		real := p.child
		p.child = failing{real, nil}
		begun := time.Now()
		require.Zero(t, p.Stop(t.Context(), twoStages(time.Second), nil))
		require.Equal(t, time.Second+exitWait, time.Since(begun))
		require.NoError(t, real.signal(KILL))
		<-p.Ended()
	})
}
