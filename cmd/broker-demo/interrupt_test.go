package main

import (
	"os"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestInterruptsDrainThenForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		announced, restored := 0, 0
		on := watchInterrupts(signals, func() { restored++ }, func() { announced++ })
		synctest.Wait()
		require.NoError(t, on.drain.Err())

		signals <- os.Interrupt
		synctest.Wait()
		require.Error(t, on.drain.Err())
		require.NoError(t, on.force.Err())
		require.Equal(t, 1, announced)
		require.Zero(t, restored)

		signals <- os.Interrupt
		synctest.Wait()
		require.Error(t, on.force.Err())
		require.Equal(t, 1, restored, "a third signal has its usual meaning")
		on.stop()
	})
}

func TestInterruptsStop(t *testing.T) {
	for _, sent := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			signals := make(chan os.Signal, 2)
			restored := 0
			on := watchInterrupts(signals, func() { restored++ }, func() {})
			for range sent {
				signals <- os.Interrupt
			}
			synctest.Wait()
			on.stop()
			on.stop()
			require.Error(t, on.drain.Err())
			require.Error(t, on.force.Err())
			require.Positive(t, restored)
		})
	}
}
