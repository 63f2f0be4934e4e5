package main

import "sync"

// fate is what is known of a call.
type fate uint8

const (
	fateNone     fate = iota // no call has that number
	fateOpen                 // begun, not ended
	fateAnswered             // ended with an answer that is as it should be
	fateFailed               // ended with an answer that is an error
	fateNotSent              // ended without having been executed
	fateUnknown              // ended, and may have been executed
)

// pageCalls is how many calls a page of a book has room for. A book grows by
// pages, so that no call waits while what has been written is copied.
const pageCalls = 64 << 10

// book knows of every call by its number what has become of it. It is kept
// apart from what measures the calls, to find those that get lost there. The
// zero book is empty and ready; any number of goroutines may write in it.
type book struct {
	mu         sync.Mutex
	pages      []*[pageCalls]fate
	begun      int64
	ended      int64
	duplicated int64 // ends of a call that had ended, or never begun
}

// begin gives a call its number: 0, 1, 2 and so on.
func (b *book) begin() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.begun
	b.begun++
	if n/pageCalls == int64(len(b.pages)) {
		b.pages = append(b.pages, new([pageCalls]fate))
	}
	b.pages[n/pageCalls][n%pageCalls] = fateOpen
	return n
}

// end writes down how a call has ended.
func (b *book) end(n int64, f fate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n < 0 || n >= b.begun || b.pages[n/pageCalls][n%pageCalls] != fateOpen {
		b.duplicated++
		return
	}
	b.pages[n/pageCalls][n%pageCalls] = f
	b.ended++
}

// fate returns what has become of a call.
func (b *book) fate(n int64) fate {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n < 0 || n >= b.begun {
		return fateNone
	}
	return b.pages[n/pageCalls][n%pageCalls]
}

// totals returns how many calls have begun and ended, and how many ends were one too many.
func (b *book) totals() (begun, ended, duplicated int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begun, b.ended, b.duplicated
}

// done returns how many calls have ended.
func (b *book) done() int64 {
	_, ended, _ := b.totals()
	return ended
}
