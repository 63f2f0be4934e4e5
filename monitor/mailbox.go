package monitor

import "sync"

// lateLines is how many lines a mailbox takes once its program has exited. Nothing waits then, so that a slow receiver does not hold up the
// restart. It is more than the pipe of a program can hold that is not built to annoy.
const lateLines = 64 << 10

// mailbox holds events for a receiver that may be slow. Lines and other events have room of their own, so that a flood of lines does not
// crowd out the news that the program is dead. What finds no room is dropped and counted.
type mailbox struct {
	program string // whose events they are; empty: those of several
	size    int    // how many lines, and how many others
	wake    chan struct{}

	mu      sync.Mutex
	events  []Event
	lines   int
	others  int
	dropped int           // since the last event was put in
	room    chan struct{} // closed by the next take; nil: nobody waits for it
	closed  bool
}

func newMailbox(program string, size int) *mailbox {
	return &mailbox{program: program, size: size, wake: make(chan struct{}, 1)}
}

// post puts e in, or drops it. It does not block.
func (b *mailbox) post(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.put(e, b.size) {
		b.dropped++
	}
	b.wakeReceiver()
}

// postLine puts a line in. It waits for room until hurry is closed.
func (b *mailbox) postLine(e Event, hurry <-chan struct{}) {
	for {
		full := b.tryLine(e)
		if full == nil {
			return
		}
		select {
		case <-full:
		case <-hurry:
			b.postLate(e)
			return
		}
	}
}

// tryLine puts a line in, or returns what is closed when it is worth another try.
func (b *mailbox) tryLine(e Event) (full <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.put(e, b.size) {
		b.wakeReceiver()
		return nil
	}
	if b.room == nil {
		b.room = make(chan struct{})
	}
	return b.room
}

// postLate puts in a line of a program that has exited, or drops it.
func (b *mailbox) postLate(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.put(e, lateLines) {
		b.dropped++
	}
	b.wakeReceiver()
}

// put puts e in if there is room, behind the number of those for which there was none. mu is held.
func (b *mailbox) put(e Event, lines int) bool {
	count, limit := &b.others, b.size
	if _, isLine := e.What.(Line); isLine {
		count, limit = &b.lines, lines
	}
	if *count >= limit {
		return false
	}
	*count++
	b.addDropped(e)
	b.events = append(b.events, e)
	return true
}

// addDropped puts in how many events are missing before e. mu is held.
func (b *mailbox) addDropped(e Event) {
	if b.dropped > 0 {
		b.events = append(b.events, Event{Program: b.program, Generation: e.Generation, Time: e.Time, What: Dropped{b.dropped}})
		b.dropped = 0
	}
}

func (b *mailbox) wakeReceiver() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take takes all events out. more is false if the mailbox has been closed, so that none will come.
func (b *mailbox) take() (events []Event, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.events); n > 0 {
		b.addDropped(b.events[n-1])
	}
	events = b.events
	b.events, b.lines, b.others = nil, 0, 0
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
	return events, !b.closed
}

// close says that no more events come.
func (b *mailbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.wakeReceiver()
}

// deliver hands each event to receive, until the mailbox has been closed and is empty.
func (b *mailbox) deliver(receive func(Event)) {
	for {
		events, more := b.take()
		for _, e := range events {
			receive(e)
		}
		if len(events) == 0 {
			if !more {
				return
			}
			<-b.wake
		}
	}
}
