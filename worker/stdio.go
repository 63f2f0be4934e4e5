package worker

import (
	"os"
	"sync"

	"github.com/stdcrew/stdcrew/rpc"
)

// parent is the process that started this one. Another parent later means that it is gone.
var parent = os.Getppid()

// standard is the process's standard input and output, of which there is one: whoever takes them first, all get the same.
var standard stdio

type stdio struct {
	mu     sync.Mutex
	marked bool // a host has started this process
	taken  bool
	stream rpc.Stream
	err    error
}

// startedByHost reports whether a host has started this process, and if so makes sure that standard input and output are taken.
func (s *stdio) startedByHost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if os.Getenv(rpc.EnvWorker) != "" {
		_ = os.Unsetenv(rpc.EnvWorker) // fails for impossible names only
		s.marked = true
	}
	if s.marked {
		s.takeOnce()
	}
	return s.marked
}

// take returns standard input and output as a stream. From the first take on the program prints to standard error and reads nothing.
func (s *stdio) take() (rpc.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeOnce()
	return s.stream, s.err
}

// takeOnce takes the descriptors; locked.
func (s *stdio) takeOnce() {
	if !s.taken {
		s.taken = true
		s.stream, s.err = takeOver()
	}
}
