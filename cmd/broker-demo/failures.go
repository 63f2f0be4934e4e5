package main

import (
	"errors"
	"maps"
	"sync"

	"github.com/stdcrew/stdcrew/broker"
)

// failures counts failed calls by what they were. The zero value is ready; any number of goroutines may add to it.
type failures struct {
	mu              sync.Mutex
	byClass         map[string]int64
	notSent, unsure int64
}

// add counts an error and reports whether it is the first of its class.
func (f *failures) add(err error) (first bool) {
	var e *broker.Error
	class := classOf(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byClass == nil {
		f.byClass = make(map[string]int64)
	}
	f.byClass[class]++
	if errors.As(err, &e) {
		switch e.Delivery {
		case broker.NotSent:
			f.notSent++
		case broker.Unknown:
			f.unsure++
		case broker.Answered:
		}
	}
	return f.byClass[class] == 1
}

// counts returns the failed calls by class, never nil, and how many were certainly not executed, or may have been.
func (f *failures) counts() (byClass map[string]int64, notSent, unknown int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	byClass = make(map[string]int64, len(f.byClass))
	maps.Copy(byClass, f.byClass)
	return byClass, f.notSent, f.unsure
}
