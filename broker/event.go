package broker

import (
	"context"
	"iter"

	"github.com/stdcrew/stdcrew/pool"
)

// Event is something that has happened to a pool or one of its workers. Its Kind says what, its other fields say to whom and why;
// they are listed at [pool.Event].
type Event = pool.Event

// EventKind says what has happened.
type EventKind = pool.EventKind

// The kinds of events, first those of a worker, in the order of a life, then those of a pool. The documentation of package pool tells more of each.
const (
	EventStarted     = pool.EventStarted     // a process has been launched
	EventReady       = pool.EventReady       // it gets calls
	EventStartFailed = pool.EventStartFailed // it did not become ready: Err
	EventRetiring    = pool.EventRetiring    // it gets no further calls: Reason
	EventStopping    = pool.EventStopping    // it is being ended: Reason
	EventExited      = pool.EventExited      // it is gone: Exit, and Death if that was not our wish

	EventBackoff         = pool.EventBackoff         // no process is started for Delay
	EventCrashLoop       = pool.EventCrashLoop       // no worker can be started, callers fail at once: Err
	EventProbing         = pool.EventProbing         // in the crash loop, one process is tried
	EventRecovered       = pool.EventRecovered       // the crash loop is over
	EventPoolReloaded    = pool.EventPoolReloaded    // a new command has been found to work
	EventPoolNotReloaded = pool.EventPoolNotReloaded // it has not, and everything stays as it was: Err
	EventPoolResized     = pool.EventPoolResized     // there are a new Min and Max
	EventPoolStopping    = pool.EventPoolStopping    // by Stop
	EventPoolStopped     = pool.EventPoolStopped     // until the next call
	EventPoolDraining    = pool.EventPoolDraining    // by Shutdown
	EventPoolClosing     = pool.EventPoolClosing     // by Close, or at the end of Shutdown
	EventPoolClosed      = pool.EventPoolClosed      // the last event of a pool: Err is what Close returns
)

// Events subscribes to what happens to all pools from now on, as a sequence for one loop:
//
//	for e := range b.Events(ctx) {
//		if e.Kind == broker.EventExited && e.Death {
//			alert(e.Pool, e.Exit)
//		}
//	}
//
// The loop blocks for the next event. It ends when ctx does, and when all pools are closed; leaving it, or the end of ctx, ends the subscription. A
// sequence that is never looped over keeps its buffer until then. To know how things stood at the beginning, take a [Broker.Snapshot] after subscribing.
//
// The events of one pool come in the order in which they happened. No pool waits for a subscriber: one that is more than PoolOptions.EventBuffer
// events behind, those of all pools together, misses the oldest, and the next event that it gets says in Dropped how many they were.
func (b *Broker) Events(ctx context.Context) iter.Seq[Event] {
	crews := make([]*pool.Pool, 0, len(b.pools))
	for _, p := range b.pools {
		crews = append(crews, p.crew)
	}
	return pool.Events(ctx, crews...)
}

// Events is [Broker.Events] for one pool. Of a pool that the broker does not have there are none.
func (p *Pool) Events(ctx context.Context) iter.Seq[Event] {
	if p.missing != nil {
		return pool.Events(ctx)
	}
	return p.crew.Events(ctx)
}
