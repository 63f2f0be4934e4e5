package main

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKillerKillsEveryNUnits(t *testing.T) {
	var killed []int
	ready := []int{11, 12, 13, 14}
	k := &killer{
		every: 3,
		pids:  func() []int { return ready },
		kill:  func(pid int) (bool, error) { killed = append(killed, pid); return true, nil },
	}
	for range 10 {
		k.done()
	}
	require.Len(t, killed, 3)
	require.Subset(t, ready, killed)
}

func TestKillerOwesWhatItCouldNotKill(t *testing.T) {
	var ready []int
	var killed int
	k := &killer{
		every: 2,
		pids:  func() []int { return ready },
		kill: func(pid int) (bool, error) {
			if pid == 1 {
				return false, nil // died just then
			}
			killed++
			return true, nil
		},
	}
	for range 4 {
		k.done()
	}
	ready = []int{1}
	k.done()
	require.Zero(t, killed)
	ready = []int{2, 3}
	k.done()
	k.done()
	require.Equal(t, 2, killed, "one at a time, with the next files")
}

// A worker that was killed is listed as ready until the broker notices. Killing it again would count for nothing.
func TestKillerKillsNobodyTwice(t *testing.T) {
	var killed []int
	ready := []int{11}
	k := &killer{
		every: 1,
		pids:  func() []int { return ready },
		kill:  func(pid int) (bool, error) { killed = append(killed, pid); return true, nil },
	}
	for range 3 {
		k.done()
	}
	require.Equal(t, []int{11}, killed)
	ready = []int{12}
	k.done()
	require.Equal(t, []int{11, 12}, killed)
	ready = []int{11} // another process, of the same number
	k.done()
	require.Equal(t, []int{11, 12, 11}, killed)
}

func TestKillerReportsFailuresOnce(t *testing.T) {
	var failures []error
	denied := errors.New("denied")
	k := &killer{
		every: 2,
		pids:  func() []int { return []int{1} },
		kill:  func(int) (bool, error) { return false, denied },
		fail:  func(err error) { failures = append(failures, err) },
	}
	for range 3 {
		k.done()
	}
	require.Equal(t, []error{denied}, failures)
}

func TestKillerIsOffByDefault(t *testing.T) {
	k := &killer{} // calling any of its functions would panic
	k.done()
}

func TestKillerCountsFilesOfAllGoroutines(t *testing.T) {
	var mu sync.Mutex
	killed := 0
	k := &killer{
		every: 5,
		pids:  func() []int { mu.Lock(); defer mu.Unlock(); return []int{killed} },
		kill:  func(int) (bool, error) { mu.Lock(); defer mu.Unlock(); killed++; return true, nil },
	}
	var callers sync.WaitGroup
	for range 10 {
		callers.Go(func() { // ends after its files
			for range 50 {
				k.done()
			}
		})
	}
	callers.Wait()
	for range 100 { // what was owed because two came at once
		k.done()
	}
	require.Equal(t, 120, killed)
}

// P33: a pid that is no longer a worker's is never signaled. Were it, this test would end itself.
func TestP33_KillerSparesStrangers(t *testing.T) {
	killed, err := killListed(os.Getpid(), func() []int { return nil })
	require.NoError(t, err)
	require.False(t, killed)
}
