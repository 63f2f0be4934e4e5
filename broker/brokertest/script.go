package brokertest

import "sync"

// maxRepeats is how often the broker repeats a call at most: one that is idempotent. Others it gives up earlier, which leaves a count behind for an
// attempt that does not come.
const maxRepeats = 10

// rule is a fault that some calls or starts are going to meet with.
type rule struct {
	method string // empty: any
	left   int    // negative: always
	fault  Fault
}

// script is the faults that the workers of a pool are going to meet with. The zero script has none.
type script struct {
	mu     sync.Mutex
	calls  []rule
	starts []rule
	// refused counts the calls that were refused and are going to be repeated.
	refused map[attempt]int
}

// attempt is one try of a call. Calls of one method are alike.
type attempt struct {
	method string
	number int // 1 for the first
}

func (s *script) addCall(r rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r)
}

func (s *script) addStart(r rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts = append(s.starts, r)
}

func (s *script) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.starts, s.refused = nil, nil, nil
}

// start returns what the next worker meets with at its start.
func (s *script) start() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return take(s.starts, "")
}

// call returns what a call meets with that has reached a worker. One that was refused is refused each time that it is repeated.
func (s *script) call(a attempt) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var f Fault
	if s.refused[a] > 0 {
		s.refused[a]--
		f = Fault{kind: refuse}
	} else {
		f = take(s.calls, a.method)
	}
	if f.kind == refuse && a.number <= maxRepeats {
		if s.refused == nil {
			s.refused = make(map[attempt]int)
		}
		s.refused[attempt{a.method, a.number + 1}]++
	}
	return f
}

// take uses up one of the first rule for the method that is not used up.
func take(rules []rule, method string) Fault {
	for i := range rules {
		r := &rules[i]
		if r.left == 0 || r.method != "" && r.method != method {
			continue
		}
		if r.left > 0 {
			r.left--
		}
		return r.fault
	}
	return Fault{}
}
