package monitor

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// moody does any of the things that programs do.
func moody(random func(n int) int) script {
	return func(c process.Command, m *process.Memory) int {
		_, _ = m.Stdout.Write([]byte("line\nunfinished"))
		switch random(4) {
		case 0:
			return random(2)
		case 1:
			return exits(time.Duration(random(3000))*time.Millisecond, 1)(c, m)
		case 2:
			return heedsTerm(c, m)
		default:
			return ignoresTerm(c, m)
		}
	}
}

// TestP17_OneProcessAProgram: whatever is asked of the monitor, and whenever, a program never runs beside itself (the rig sees to that), each
// start has one end, and at last all is as it should be.
func TestP17_OneProcessAProgram(t *testing.T) {
	for seed := range uint64(20) {
		inBubble(t, Options{Policy: Policy{KillTime: second}}, nil, func(t *testing.T, r *rig) {
			random := locked(rand.New(rand.NewPCG(seed, 17)))
			names := []string{"a", "b", "c"}
			for _, name := range names {
				r.scripts[name] = moody(random)
			}
			r.Start()
			var askers sync.WaitGroup
			for range 4 {
				askers.Go(func() { r.askAtRandom(names, random, 100) })
			}
			askers.Wait()

			r.Start()
			for _, name := range names {
				_ = r.Add(name, process.Command{Path: name}, ProgramOptions{})
			}
			time.Sleep(3 * time.Hour)
			for _, name := range names {
				require.NotEqual(t, StateStopped, r.state(name), "%s is kept running", name)
			}
			require.NoError(t, r.Stop(t.Context()))
			for _, name := range names {
				require.Equal(t, len(times[Started](r, name)), len(times[Exited](r, name)))
			}
		})
	}
}

// askAtRandom asks the monitor n things.
func (r *rig) askAtRandom(names []string, random func(n int) int, n int) {
	for range n {
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Duration(random(2000))*time.Millisecond)
		name := names[random(len(names))]
		switch random(7) {
		case 0, 1:
			_ = r.Add(name, process.Command{Path: name}, ProgramOptions{})
		case 2:
			_ = r.Remove(ctx, name)
		case 3, 4:
			_ = r.Restart(name)
		case 5:
			_ = r.Stop(ctx)
		case 6:
			r.Start()
		}
		cancel()
		time.Sleep(time.Duration(random(500)) * time.Millisecond)
	}
}

func locked(random *rand.Rand) func(n int) int {
	var mu sync.Mutex
	return func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
}
