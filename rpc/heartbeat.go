package rpc

import (
	"fmt"
	"slices"
	"time"
)

const (
	defaultHeartbeat = 15 * time.Second
	// heartbeatMisses is how many further periods of silence a worker has that was pinged.
	heartbeatMisses = 2
	// heartbeatLooks is how often in a period somebody looks. What came between two looks counts as if it had come at the second: so much of a
	// period, at the most, a hang is noticed late.
	heartbeatLooks = 8
)

// heartbeat notices a worker that has calls to answer and has fallen silent. It has one timer, which a call starts if it does not run, and which
// runs out when it finds no call: it is not touched call by call, and idle workers have none.
type heartbeat struct {
	timer   *time.Timer // nil until the first call
	running bool
	due     time.Duration // when it fires next, on the Peer's clock

	since  time.Duration // when the silence began, likewise
	came   uint64        // bytes that had come then
	pinged bool          // since then
}

// watchWorker has the worker's silence noticed now that it has a call; locked.
func (p *Peer) watchWorker() {
	h := &p.heart
	if h.running || p.end.err != nil {
		return
	}
	h.running = true
	p.restartSilence(p.now())
	if h.timer == nil {
		h.timer = time.AfterFunc(p.nextLook(0), p.look) // ends when it finds no call, and with the connection
	} else {
		h.timer.Reset(p.nextLook(0))
	}
}

// look is what the timer does.
func (p *Peer) look() {
	p.mu.Lock()
	freed := p.lookAtSilence()
	p.mu.Unlock()
	free(freed...)
}

// lookAtSilence pings a worker that has been silent for a period, and gives it up when that has not helped; locked, but unlocked while it writes.
//
// The silence begins anew where it may be ours: while what we write waits for the worker to read, which is WriteStall's matter, and where this
// very look comes late. Then the host stood still, or its whole machine, and what the worker sent may lie unread.
func (p *Peer) lookAtSilence() (freed []func()) {
	h := &p.heart
	if p.end.err != nil || !p.hasCalls() {
		h.running = false
		return nil
	}
	now := p.now()
	if h.came != p.stalls.bytes || p.out.delegated || now > h.due+p.limits.beat/heartbeatLooks {
		p.restartSilence(now)
	}
	silence := now - h.since
	if silence >= (1+heartbeatMisses)*p.limits.beat {
		h.running = false
		return p.stalled(fmt.Errorf("%w: it has calls, nothing came from it for %v, and it did not answer a ping", ErrHang, silence.Round(time.Millisecond)))
	}
	ping := !h.pinged && silence >= p.limits.beat
	h.pinged = h.pinged || ping
	h.timer.Reset(p.nextLook(silence))
	if ping {
		p.control(typePing, 0, 0, appendUint(nil, heartbeatPing))
	}
	return nil
}

// heartbeatPing is in the payload of our own pings; those of [Peer.Ping] count from pingBit.
const heartbeatPing = 0

func (p *Peer) restartSilence(now time.Duration) {
	h := &p.heart
	h.since, h.came, h.pinged = now, p.stalls.bytes, false
}

// nextLook says in what time to look again after so much silence: exactly when something is due, if that is soon.
func (p *Peer) nextLook(silence time.Duration) time.Duration {
	h, wait := &p.heart, p.limits.beat-silence
	if h.pinged {
		wait += heartbeatMisses * p.limits.beat
	}
	wait = max(min(wait, p.limits.beat/heartbeatLooks), 1)
	h.due = p.now() + wait
	return wait
}

// hasCalls says that there is a call, and not only pings, that the other side has not answered; locked.
func (p *Peer) hasCalls() bool {
	for c := range p.calls.pending.all() {
		if !c.ping {
			return true
		}
	}
	return false
}

// answersWhileBusy says that a hello promises pongs while calls run: without that, silence says nothing.
func (h *Hello) answersWhileBusy() bool { return slices.Contains(h.Caps, CapBusy) }
