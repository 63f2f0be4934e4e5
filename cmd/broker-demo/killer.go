package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
)

// killer ends a random worker every so many units of work, from outside: to the broker
// it is a crash like any other.
type killer struct {
	every int          // units between kills; zero: none
	pids  func() []int // the workers that are ready, as the broker sees them
	kill  func(pid int) (bool, error)
	fail  func(error) // a worker could not be killed

	mu     sync.Mutex
	units  int   // done since the last kill that was due
	owed   int   // kills that were due when no worker was ready
	struck []int // killed, while the broker has not noticed yet
}

// done counts a unit of work and kills when it is time. Any goroutine may call it.
func (k *killer) done() {
	if k.every == 0 || !k.take() {
		return
	}
	killed, err := k.killOne()
	switch {
	case err != nil:
		k.fail(err)
	case !killed:
		k.giveBack()
	}
}

// take reports whether a kill is due, and takes it on.
func (k *killer) take() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.units++; k.units == k.every {
		k.units = 0
		k.owed++
	}
	if k.owed == 0 {
		return false
	}
	k.owed--
	return true
}

func (k *killer) giveBack() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owed++
}

// killOne reports whether it killed a worker. Without one that is ready, or
// when it dies just then, there is nothing to kill and no error.
func (k *killer) killOne() (bool, error) {
	pid, ok := k.choose(k.pids())
	if !ok {
		return false, nil
	}
	return k.kill(pid)
}

// choose picks a worker that has not been killed already: the broker lists a dead one
// as ready until it notices.
func (k *killer) choose(ready []int) (pid int, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.struck = slices.DeleteFunc(k.struck, func(pid int) bool { return !slices.Contains(ready, pid) })
	ready = slices.DeleteFunc(slices.Clone(ready), func(pid int) bool { return slices.Contains(k.struck, pid) })
	if len(ready) == 0 {
		return 0, false
	}
	pid = ready[rand.IntN(len(ready))]
	k.struck = append(k.struck, pid)
	return pid, true
}

// killListed sends KILL to a process that listed still names once the process
// has been found.
func killListed(pid int, listed func() []int) (bool, error) {
	return signalListed(pid, os.Kill, listed, nothing)
}

// nothing is what there is to do after KILL.
func nothing(*os.Process) {}

// signalListed sends a signal to a process that listed still names once the process has been found, and goes on with then if it did. Where finding
// holds on to the process itself, as it does on Linux, a number that was given to a stranger in the meantime is never signaled, not by then either.
func signalListed(pid int, signal os.Signal, listed func() []int, then func(*os.Process)) (bool, error) {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false, nil // gone already
	}
	defer func() { _ = process.Release() }()
	if !slices.Contains(listed(), pid) {
		return false, nil
	}
	err = process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("signal worker %d (%v): %w", pid, signal, err)
	}
	then(process)
	return true, nil
}
