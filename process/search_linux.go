package process

import (
	"slices"
	"sync"
	"time"
)

// strays finds what processes have left behind.
var strays searcher

// searcher looks through all processes of the system for strays, once for all who wait for it, and not too often.
type searcher struct {
	mu        sync.Mutex
	waiting   []*quest
	searching bool      // run runs
	notBefore time.Time // when the next look may begin
}

// quest is the search for the strays of one process.
type quest struct {
	mark   string
	group  int       // the process's own, whose members have been killed already; 0 if they have not
	until  time.Time // when the process no longer waits for the result
	rounds int       // how many looks there have been
	found  bool
	strays []Stray       // under the searcher's mu
	done   chan struct{} // closed when the search is over
}

const (
	// strayWait is how long a process waits for the result. A look takes milliseconds, but the kernel holds up who reads about a process that it
	// cannot let go of. What is found later is killed all the same.
	strayWait = 2 * time.Second

	// strayRounds is how many looks there are for one process at most. There is another one as long as something is found: it may have started
	// more before it was killed, under a pid that had been passed already.
	strayRounds = 4

	// maxStrays is how many a report names.
	maxStrays = 64

	// searchDelay is how long after a death the search for what it left begins: first those get the processor who wait to learn of the death.
	searchDelay = 5 * time.Millisecond

	// searchRest is how many times the duration of a look passes until the next, so that many deaths in a row cost a tenth of a processor.
	searchRest = 10
	// maxSearchRest bounds that pause.
	maxSearchRest = 500 * time.Millisecond
)

// begin starts the search for what carries a mark.
func (s *searcher) begin(mark string, group int) *quest {
	q := &quest{mark: mark, group: group, until: time.Now().Add(strayWait), done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, q)
	if !s.searching {
		s.searching = true
		if begin := time.Now().Add(searchDelay); s.notBefore.Before(begin) {
			s.notBefore = begin
		}
		// Ends when nobody waits.
		go s.run()
	}
	return q
}

// result waits for the end of a search, up to strayWait from its beginning, and returns what has been found.
func (s *searcher) result(q *quest) []Stray {
	closedWithin(q.done, time.Until(q.until))
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(q.strays)
}

func (s *searcher) run() {
	for s.rest() {
		batch := s.take()
		begun := time.Now()
		lookAround(batch, s.note)
		s.finish(batch, time.Since(begun))
	}
}

// rest tells whether somebody waits for a look, and waits until it may begin.
func (s *searcher) rest() bool {
	s.mu.Lock()
	s.searching = len(s.waiting) > 0
	goOn, pause := s.searching, time.Until(s.notBefore)
	s.mu.Unlock()
	if goOn {
		time.Sleep(pause)
	}
	return goOn
}

func (s *searcher) take() []*quest {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := s.waiting
	s.waiting = nil
	for _, q := range batch {
		q.found = false
		q.rounds++
	}
	return batch
}

// note enters a stray. One that is still there in a later look is no news.
func (s *searcher) note(q *quest, found Stray) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := func(known Stray) bool { return known.PID == found.PID }
	if slices.ContainsFunc(q.strays, same) {
		return
	}
	q.found = true
	if len(q.strays) < maxStrays {
		q.strays = append(q.strays, found)
	}
}

// finish ends the searches that have found nothing more.
func (s *searcher) finish(batch []*quest, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notBefore = time.Now().Add(min(took*searchRest, maxSearchRest))
	for _, q := range batch {
		if q.found && q.rounds < strayRounds {
			s.waiting = append(s.waiting, q)
		} else {
			close(q.done)
		}
	}
}
