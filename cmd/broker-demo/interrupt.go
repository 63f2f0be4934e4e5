package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interrupts is what Ctrl-C means: the first ends drain, the second ends force.
// A third finds the operating system's default again, and ends the program.
type interrupts struct {
	drain, force context.Context
	stop         func() // must be called; the contexts end with it
}

// watchInterrupts turns signals into the ends of two contexts until stop is
// called. first runs before drain ends.
func watchInterrupts(signals <-chan os.Signal, restore func(), first func()) interrupts {
	force, endForce := context.WithCancel(context.Background())
	drain, endDrain := context.WithCancel(force)
	stopped := make(chan struct{})
	var watcher sync.WaitGroup
	// Ends at the second signal or at stop.
	watcher.Go(func() {
		select {
		case <-signals:
			first()
			endDrain()
		case <-stopped:
			return
		}
		select {
		case <-signals:
			restore()
			endForce()
		case <-stopped:
		}
	})
	stop := sync.OnceFunc(func() {
		close(stopped)
		watcher.Wait()
		restore()
		endDrain()
		endForce()
	})
	return interrupts{drain: drain, force: force, stop: stop}
}

// notifyInterrupts returns the signals that ask the program to end, and a
// function that gives them back their usual meaning.
func notifyInterrupts() (<-chan os.Signal, func()) {
	signals := make(chan os.Signal, 2) // two in a row are both meant
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	return signals, func() { signal.Stop(signals) }
}
