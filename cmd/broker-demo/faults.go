package main

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stdcrew/stdcrew/testworkers/hostile/modes"
)

// The faults that chaos throws at its crew. All others are the modes of hostile workers, under their names.
const (
	faultKill      = "SIGKILL"
	faultTerm      = "SIGTERM"
	faultSegv      = "SIGSEGV"
	faultFreeze    = "SIGSTOP" // and CONT after a while
	faultHang      = "hang"    // STOP, and CONT when it is too late
	faultReload    = "reload"
	faultBadReload = "reload-failing" // to a program that does not become ready
	faultResize    = "resize"
	faultStop      = "stop"
)

// perRound is how often each fault of the crew is thrown for every time that each hostile mode is.
var perRound = map[string]int{
	faultKill: 6, faultTerm: 3, faultSegv: 2, faultFreeze: 5, faultHang: 1, faultReload: 4, faultBadReload: 1, faultResize: 4, faultStop: 1,
}

// fault is one thing that chaos does to workers. What a kind has no use for is drawn all the same.
type fault struct {
	kind   string
	wait   time.Duration // between the fault before it and this one
	pick   int           // which of several, whatever they are; not negative
	hold   time.Duration // how long a worker stays frozen
	leave  time.Duration // after which the caller of a hostile worker leaves; 0: it stays
	beside int           // calls on a hostile worker while it misbehaves
}

// Bounds of what is drawn.
const (
	shortestWait = 10 * time.Millisecond
	longestWait  = 130 * time.Millisecond
	shortestHold = 20 * time.Millisecond
	longestHold  = 300 * time.Millisecond
	longestLeave = 150 * time.Millisecond
	mostBeside   = 3
	stayers      = 3 // callers of 4 that stay
)

// faults is the endless sequence of faults that a seed stands for, and nothing else: neither time nor what comes of the faults changes it. It
// goes in rounds, so that a short run, too, has all kinds.
type faults struct {
	random *rand.Rand
	round  []string // what is left of it
}

func newFaults(seed uint64) *faults {
	return &faults{random: rand.New(rand.NewPCG(seed, seed))}
}

// next returns the next fault.
func (s *faults) next() fault {
	if len(s.round) == 0 {
		s.round = newRound()
		s.random.Shuffle(len(s.round), func(i, j int) { s.round[i], s.round[j] = s.round[j], s.round[i] })
	}
	f := fault{
		kind:   s.round[0],
		wait:   s.between(shortestWait, longestWait),
		pick:   s.random.IntN(1 << 30),
		hold:   s.between(shortestHold, longestHold),
		leave:  s.between(0, longestLeave),
		beside: s.random.IntN(mostBeside + 1),
	}
	if s.random.IntN(stayers+1) > 0 {
		f.leave = 0
	}
	s.round = s.round[1:]
	return f
}

func (s *faults) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.random.Int64N(int64(most-least)))
}

// newRound returns the faults of one round, in a fixed order.
func newRound() []string {
	round := modes.Names()
	for _, kind := range slices.Sorted(maps.Keys(perRound)) {
		round = append(round, slices.Repeat([]string{kind}, perRound[kind])...)
	}
	return round
}

// againstCrew says that a fault strikes the crew under load, and not a hostile worker of its own.
func (f fault) againstCrew() bool { return perRound[f.kind] > 0 }

// size is the Min and Max, of at most workers, that a resize picks.
func (f fault) size(workers int) (least, most int) {
	most = 1 + f.pick%workers
	return f.pick / workers % (most + 1), most
}
