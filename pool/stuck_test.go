package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// nativeCrew is a crew whose workers speak the native dialect.
func nativeCrew(t *testing.T, o Options, inFlight int, handle jobHandler) *crew {
	o.Dialect = &native{}
	return newCrewOf(t, o, func(int) process.Func {
		return func(m *process.Memory) int { return nativeWorker(m, inFlight, handle) }
	})
}

// call makes a call of a method on a goroutine of its own, and returns when it has come as far as it can.
func (c *crew) call(ctx context.Context, method string) *asked {
	return c.async(func() error { return c.Call(ctx, method, "", nil, CallOptions{}) })
}

// lateness is what the sweep may take to notice what is due.
const lateness = 5 * time.Millisecond

func atAbout(t *testing.T, start time.Time, d time.Duration) {
	t.Helper()
	passed := time.Since(start)
	require.GreaterOrEqual(t, passed, d)
	require.LessOrEqual(t, passed, d+lateness)
}

// stubborn is a worker whose calls named "deaf" and "stay" never end, "slow" after a second, "late" long after they were canceled.
func stubborn(j job) (any, error) {
	switch j.method {
	case "deaf", "stay":
		<-j.over
	case "slow":
		time.Sleep(time.Second)
	case "late":
		<-j.ctx.Done()
		time.Sleep(7 * time.Second)
	case "obedient":
		<-j.ctx.Done()
		return nil, j.ctx.Err()
	}
	return j.arg, nil
}

// P9: a place stays taken until the worker has answered. A worker that does not is replaced, and nobody's call is sent to it meanwhile.
func TestP9_WorkerThatIgnoresCancelIsReplaced(t *testing.T) {
	for name, grace := range map[string]time.Duration{"default": 0, "longer": time.Minute, "none": -1} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := nativeCrew(t, Options{CancelGrace: grace}, 1, stubborn)
				want := map[string]time.Duration{"default": 5 * time.Second, "longer": time.Minute}[name]
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				e := asError(t, c.Call(ctx, "deaf", "", nil, CallOptions{}))
				atAbout(t, start, time.Second)
				require.Equal(t, ClassContext, e.Class)
				require.Equal(t, rpc.Unknown, e.Delivery)

				c.serves()
				atAbout(t, start, time.Second+want)
				require.Len(t, c.launched(), 2)
				report := c.proc(0).Report()
				require.Equal(t, process.KillerCancel, report.Killer)
				require.Equal(t, process.TERM, report.Signal)
				require.Zero(t, c.Snapshot().Counters.Deaths, "its end was our wish")
			})
		})
	}
}

func TestP9_WorkerThatObeysCancelIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := nativeCrew(t, Options{}, 1, stubborn)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, c.Call(ctx, "obedient", "", nil, CallOptions{}), context.DeadlineExceeded)
		c.serves()
		time.Sleep(time.Minute / 2)
		c.serves()
		require.Len(t, c.launched(), 1)
	})
}

// Beside other calls such a worker is retired: they may end, and then it is stopped. Newcomers go elsewhere at once.
func TestP9_OtherCallsMayEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := nativeCrew(t, Options{Max: 2}, 8, stubborn)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		deaf := c.call(ctx, "deaf")
		at(start, 5500*time.Millisecond)
		slow := c.call(t.Context(), "slow")
		at(start, 6*time.Second+lateness)
		require.ErrorIs(t, deaf.result(), context.DeadlineExceeded)
		shot := c.Snapshot().Workers[0]
		require.True(t, shot.Retiring)
		require.Equal(t, StateReady, shot.State)
		c.serves()
		require.Len(t, c.launched(), 2)

		at(start, 6500*time.Millisecond+lateness)
		require.NoError(t, slow.result())
		require.Equal(t, process.KillerCancel, c.proc(0).Report().Killer)
	})
}

// A worker's other calls that outlast RetireGrace are told for whose sake they were cut short.
func TestP9_CutCallsNameTheCulprit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := nativeCrew(t, Options{RetireGrace: 2 * time.Second, StopGrace: -1, CloseGrace: -1}, 8, stubborn)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		deaf := c.call(ctx, "deaf")
		other := c.call(t.Context(), "stay")
		e := asError(t, other.result())
		atAbout(t, start, 8*time.Second)
		require.Equal(t, ClassInterrupted, e.Class)
		require.Equal(t, rpc.Unknown, e.Delivery)
		var exit Exit
		require.ErrorAs(t, e, &exit)
		require.Equal(t, "deaf", exit.Culprit)
		require.ErrorContains(t, e, `because a canceled call of "deaf" did not end`)
		require.Error(t, deaf.result())
	})
}

// A call that ends after all, while others run, leaves a worker that retires as others do: it is asked to stop, and nobody is blamed.
func TestP9_LateAnswerAfterAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := nativeCrew(t, Options{}, 8, stubborn)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := c.call(ctx, "late") // ends at 8 s, stuck from 6 s on
		at(start, 5*time.Second)
		slowCtx, cancelSlow := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancelSlow()
		other := c.call(slowCtx, "obedient") // ends at 10 s
		require.Error(t, late.result())
		require.ErrorIs(t, other.result(), context.DeadlineExceeded)
		atAbout(t, start, 10*time.Second)
		time.Sleep(lateness)
		synctest.Wait()
		report := c.proc(0).Report()
		require.Zero(t, report.Code)
		require.Zero(t, report.Signal, "it was asked, and went")
	})
}

func TestCallTimeoutKillsAWorkerThatGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := nativeCrew(t, Options{CallTimeout: time.Second, CancelGrace: time.Second}, 1, stubborn)
		start := time.Now()
		require.ErrorIs(t, c.Call(t.Context(), "deaf", "", nil, CallOptions{}), ErrCallTimeout)
		atAbout(t, start, time.Second)
		c.serves()
		atAbout(t, start, 2*time.Second)
		require.Equal(t, process.KillerTimeout, c.proc(0).Report().Killer)
	})
}

// A worker that leaves its input unread is killed. What had not gone to it whole is known not to have been executed.
func TestP6_WorkerThatDoesNotReadIsReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrewOf(t, Options{Dialect: &native{}, WriteStall: 3 * time.Second}, func(launch int) process.Func {
			return func(m *process.Memory) int {
				if launch > 0 {
					return nativeWorker(m, 1, stubborn)
				}
				peer, err := rpc.Announce(context.Background(), memoryStream{m}, rpc.WorkerOptions{})
				if err != nil || peer.Ready() != nil {
					return 1
				}
				<-m.Killed // and never reads
				return 0
			}
		})
		start := time.Now()
		e := asError(t, c.Call(t.Context(), "echo", string(make([]byte, 1<<20)), nil, CallOptions{}))
		atAbout(t, start, 3*time.Second)
		require.Equal(t, ClassInterrupted, e.Class)
		require.Equal(t, rpc.NotSent, e.Delivery)
		require.ErrorIs(t, e, rpc.ErrWriteStall)
		requireHang(t, c, e)
	})
}

// P3: half a frame is not waited for without end.
func TestP3_WorkerThatStopsInAFrameIsReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var half []byte
		half = framing.Header{Type: 0x12, Length: 100, ID: 2}.Append(half)
		c := nativeCrew(t, Options{FrameStall: 3 * time.Second}, 1, func(j job) (any, error) {
			if j.method == "half" {
				j.print(string(half) + "and then")
				<-j.over
			}
			return j.arg, nil
		})
		start := time.Now()
		e := asError(t, c.Call(t.Context(), "half", "", nil, CallOptions{}))
		atAbout(t, start, 3*time.Second)
		require.Equal(t, ClassInterrupted, e.Class)
		require.Equal(t, rpc.Unknown, e.Delivery)
		require.ErrorIs(t, e, rpc.ErrFrameStall)
		requireHang(t, c, e)
	})
}

// requireHang checks that the first process was killed because it hung, and that the next one serves.
func requireHang(t *testing.T, c *crew, err error) {
	t.Helper()
	var exit Exit
	require.ErrorAs(t, err, &exit)
	require.Equal(t, process.KillerHang, exit.Report.Killer)
	require.Equal(t, process.KILL, exit.Report.Signal)
	c.serves()
	require.EqualValues(t, 1, c.Snapshot().Counters.Deaths, "a hang counts as a death")
	require.Len(t, c.launched(), 2)
}

// P18: a worker that has begun to stop refuses calls long before its goodbye, which waits for those that run. It gets no further ones.
func TestP18_WorkerThatRefusesGetsNoFurtherCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := nativeCrew(t, Options{Max: 2}, 8, func(j job) (any, error) {
			if j.method == "leave" {
				j.leave()
				time.Sleep(20 * time.Second)
			}
			return j.arg, nil
		})
		start := time.Now()
		leaving := c.call(t.Context(), "leave")
		e := asError(t, c.echo(t.Context(), "too late"))
		require.Equal(t, ClassInterrupted, e.Class)
		require.Equal(t, rpc.NotSent, e.Delivery)
		synctest.Wait()
		require.True(t, c.Snapshot().Workers[0].Retiring)
		c.serves()
		require.Zero(t, time.Since(start))
		require.Len(t, c.launched(), 2)
		require.NoError(t, leaving.result(), "it may end")
	})
}

// The same goes for one that cuts calls off while others go on.
func TestP18_WorkerThatCutsCallsOffGetsNoFurtherOnes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := nativeCrew(t, Options{Max: 2}, 8, quitter)
		start := time.Now()
		late, cut := c.call(t.Context(), "late"), c.call(t.Context(), "quit")
		e := asError(t, cut.result())
		require.Equal(t, ClassInterrupted, e.Class)
		require.Equal(t, rpc.Unknown, e.Delivery)
		require.Equal(t, CrashNone, e.Crash)
		synctest.Wait()
		require.True(t, c.Snapshot().Workers[0].Retiring, "long before its goodbye")
		c.serves()
		require.Zero(t, time.Since(start))
		require.NoError(t, late.result(), "it may end")
		require.Equal(t, 7*time.Second, time.Since(start))
	})
}

// What a worker that leaves has refused or cut off shows nothing of its health: if it has answered no call, its successor waits.
func TestP24_CallsCutOffProveNothing(t *testing.T) {
	for _, proved := range []bool{true, false} {
		inBubble(t, func(t *testing.T) {
			c := nativeCrew(t, Options{Max: 1, Restart: Restart{Min: time.Minute}}, 8, quitter)
			if proved {
				c.serves()
			}
			require.Error(t, c.call(t.Context(), "quit").result())
			synctest.Wait()
			start := time.Now()
			c.serves()
			require.Equal(t, !proved, time.Since(start) > 30*time.Second, time.Since(start))
			counters := c.Snapshot().Counters
			require.EqualValues(t, 1, counters.Goodbyes)
			require.Equal(t, map[Failure]uint64{{ClassInterrupted, rpc.Unknown}: 1}, counters.Failures)
		})
	}
}

// quitter is stubborn, and leaves in the middle of a call named "quit".
func quitter(j job) (any, error) {
	if j.method != "quit" {
		return stubborn(j)
	}
	j.quit()
	return nil, j.ctx.Err()
}
