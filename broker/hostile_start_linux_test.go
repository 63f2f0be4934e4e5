package broker_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
)

// Workers that never become ready: callers learn why, within StartTimeout, and when the program has been mended the pool goes on by itself.
func TestP28_WorkersThatDoNotBecomeReady(t *testing.T) {
	const startTimeout = 300 * time.Millisecond
	leavesNothing(t)
	t.Run("modes", func(t *testing.T) { // ends when all of them have
		for _, c := range []struct {
			mode  string
			says  []string
			stall bool // it takes StartTimeout
		}{
			{mode: "never-hello", stall: true, says: []string{"not ready within StartTimeout", "stderr: about to play never-hello"}},
			{mode: "hello-silent", stall: true, says: []string{"not ready within StartTimeout", "stderr: about to play hello-silent"}},
			{mode: "hello-exit", says: []string{"exited with code 3", "stderr: about to play hello-exit"}},
			{mode: "babble", says: []string{"more than 64 KiB before the hello", `"Usage: babble [-h] FILE\n`}},
			{mode: "greet", says: []string{`"Connected to a host!\n`, "did something print to stdout?", "stderr: about to play greet"}},
		} {
			t.Run(c.mode, func(t *testing.T) {
				t.Parallel()
				broken := filepath.Join(t.TempDir(), "broken")
				require.NoError(t, os.WriteFile(broken, nil, 0o600))
				var o broker.PoolOptions
				if c.stall {
					o.StartTimeout = startTimeout
				}
				b, _ := hostile(t, o, c.mode, broken)

				err := b.Call(longEnough(t), "hostile.pid", nil, nil)
				t.Log(err)
				requireUnavailable(t, err)
				for _, text := range c.says {
					require.Contains(t, err.Error(), text)
				}
				require.NoError(t, os.Remove(broken))
				require.True(t, eventually(func() bool { // after the delay that the failures have earned
					if err = b.Call(longEnough(t), "hostile.pid", nil, nil); err != nil {
						requireUnavailable(t, err)
					}
					return err == nil
				}), "%v", err)
				counted := b.Snapshot().Pools["hostile"].Counters
				require.GreaterOrEqual(t, counted.BootFailures, uint64(3))
				require.Zero(t, counted.Deaths)
				require.Zero(t, counted.InternalErrors)
			})
		}
	})
}

func requireUnavailable(t *testing.T, err error) {
	failed := failure(t, err)
	require.Equal(t, broker.ClassUnavailable, failed.Class, "%v", err)
	require.Equal(t, broker.NotSent, failed.Delivery, "%v", err)
	require.True(t, broker.Retryable(err), "%v", err)
}

// What comes before the hello costs nothing: neither time, nor noise, nor noise that looks like frames.
func TestP1_SlowAndNoisyStartsAreServed(t *testing.T) {
	leavesNothing(t)
	for mode, logged := range map[string]string{
		"slow":        "worker is ready",
		"banner":      `Loading model…\n42 tensors\n`,
		"banner-torn": "stdcrow, not stdcrew",
	} {
		t.Run(mode, func(t *testing.T) {
			b, heard := hostile(t, broker.PoolOptions{}, mode)
			first := pidOf(t, b)
			require.NoError(t, b.Call(longEnough(t), "hostile.misbehave", 0, nil))
			require.Equal(t, first, pidOf(t, b))
			require.EqualValues(t, 1, b.Snapshot().Pools["hostile"].Counters.Started)
			require.True(t, heard.await(longEnough(t), logged), "not logged: %s", logged)
		})
	}
}
