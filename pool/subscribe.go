package pool

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// Events subscribes to what happens to the pool from now on, and returns it as a sequence for one loop:
//
//	for e := range p.Events(ctx) {
//		log.Print(e.Kind, e.Slot, e.Reason)
//	}
//
// The loop blocks for the next event. It ends when ctx does, and after EventPoolClosed; leaving it, or the end of ctx, ends the subscription. A
// sequence that is never looped over keeps its buffer until then. Whoever wants to know the state at the beginning takes a Snapshot after subscribing.
//
// The events come in the order in which they happened. The pool waits for nobody: a subscriber that is more than Options.EventBuffer events behind
// misses the oldest ones, and the next that it gets says in Dropped how many they were.
func (p *Pool) Events(ctx context.Context) iter.Seq[Event] { return Events(ctx, p) }

// Events is Pool.Events for several pools at once, with their buffers together. It ends when all of them are closed. Events of different pools come
// in no particular order.
func Events(ctx context.Context, pools ...*Pool) iter.Seq[Event] {
	s := subscribe(pools)
	unbind := context.AfterFunc(ctx, s.leave) // its goroutine ends with leave, which waits for nothing
	return func(yield func(Event) bool) {
		defer unbind()
		defer s.leave()
		seen := slices.Clone(s.since)
		for {
			select {
			case <-s.left:
				return
			default:
			}
			select {
			case <-s.left:
				return
			case i, open := <-s.items:
				if !open {
					return
				}
				e := *i.event
				e.Dropped = e.Seq - seen[i.from] - 1
				seen[i.from] = e.Seq
				if !yield(e) {
					return
				}
			}
		}
	}
}

// subscription is a reader of events, of one pool or of several. Which pools it is with, they know.
type subscription struct {
	pools []*Pool
	since []uint64  // the last event of each before this subscription
	items chan item // closed when the last of the pools has told its last event

	open  atomic.Int64 // pools that may have more to tell
	left  chan struct{}
	leave func() // ends it, once
}

// item is an event in a subscription's buffer.
type item struct {
	from  int // index in pools
	event *Event
}

// subscriber is a pool's end of a subscription.
type subscriber struct {
	to *subscription
	as int // index in its pools
}

func subscribe(pools []*Pool) *subscription {
	room := 0
	for _, p := range pools {
		room += p.opts.EventBuffer
	}
	s := &subscription{pools: pools, since: make([]uint64, len(pools)), items: make(chan item, room), left: make(chan struct{})}
	s.leave = sync.OnceFunc(s.unsubscribe)
	s.open.Store(1) // so that it does not end while it begins
	for i, p := range pools {
		p.mu.Lock()
		s.since[i] = p.seq
		if !p.silent {
			s.open.Add(1)
			p.subscribers = append(p.subscribers, subscriber{to: s, as: i})
		}
		p.mu.Unlock()
	}
	s.ended()
	return s
}

func (s *subscription) unsubscribe() {
	close(s.left)
	for _, p := range s.pools {
		p.mu.Lock()
		p.subscribers = slices.DeleteFunc(p.subscribers, func(o subscriber) bool { return o.to == s })
		p.mu.Unlock()
	}
}

// push puts an item into the buffer, in place of the oldest if it is full: what a slow reader learns is old, but it learns how things stand.
func (s *subscription) push(i item) {
	for {
		select {
		case s.items <- i:
			return
		default:
		}
		select {
		case <-s.items:
		default:
		}
	}
}

// ended takes note of a pool that has told its last event.
func (s *subscription) ended() {
	if s.open.Add(-1) == 0 {
		close(s.items)
	}
}

// fallSilent tells the last event and ends all subscriptions; locked. err is what Close returns.
func (p *Pool) fallSilent(err error) {
	if p.silent {
		return
	}
	p.tellPool(Event{Kind: EventPoolClosed, Err: err})
	p.silent = true
	for _, s := range p.subscribers {
		s.to.ended()
	}
	p.subscribers = nil
}
