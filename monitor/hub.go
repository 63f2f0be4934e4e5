package monitor

import (
	"context"
	"iter"
	"slices"
	"sync"
)

// hub passes events on to those who asked for them. It never waits for any of them.
type hub struct {
	mu    sync.Mutex
	boxes []*mailbox // replaced, never changed
}

func (h *hub) publish(e Event) {
	h.mu.Lock()
	boxes := h.boxes
	h.mu.Unlock()
	for _, b := range boxes {
		b.post(e)
	}
}

func (h *hub) add(b *mailbox) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.boxes = append(slices.Clone(h.boxes), b)
}

func (h *hub) remove(b *mailbox) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.boxes = slices.DeleteFunc(slices.Clone(h.boxes), func(other *mailbox) bool { return other == b })
}

// Events returns the events of all programs from this call on, in order for each program, until ctx ends. It may be ranged over once, by one
// goroutine; several callers get all events each. The programs do not wait for the receiver: one that is slower than EventBuffer allows misses
// some, and a Dropped says how many. The events wait from the call on, even if nobody ranges, so ctx should end. Who wants to see how Run stops the
// programs, too, gives Events a context that ends after that of Run: when Run has returned.
func (m *Monitor) Events(ctx context.Context) iter.Seq[Event] {
	b := newMailbox("", m.opts.EventBuffer)
	m.hub.add(b)
	detach := context.AfterFunc(ctx, func() { m.hub.remove(b) })
	return func(yield func(Event) bool) {
		defer m.hub.remove(b)
		defer detach()
		for ctx.Err() == nil {
			events, _ := b.take()
			for _, e := range events {
				if !yield(e) {
					return
				}
			}
			if len(events) > 0 {
				continue
			}
			select {
			case <-b.wake:
			case <-ctx.Done():
			}
		}
	}
}
