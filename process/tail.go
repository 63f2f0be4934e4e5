package process

import (
	"sync"
	"time"
)

const (
	// tailMax bounds what is kept of a process's standard error.
	tailMax = 64 << 10
	// tailKeep is what remains of it when the process has been quiet for tailQuiet. Many processes live long and are idle.
	tailKeep  = 4 << 10
	tailQuiet = time.Minute
)

// tail keeps the last bytes written to it, in a ring that grows on use. The zero tail is empty.
type tail struct {
	mu      sync.Mutex
	ring    []byte
	next    int // where the next byte goes, once the ring is full and at its largest
	written time.Time
	timer   *time.Timer // runs while the ring is larger than tailKeep
	stopped bool
}

// write adds p, and lets go of the oldest bytes beyond tailMax.
func (t *tail) write(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(p) > tailMax {
		p = p[len(p)-tailMax:]
	}
	grow := min(len(p), tailMax-len(t.ring))
	t.ring = append(t.ring, p[:grow]...)
	for p = p[grow:]; len(p) > 0; {
		n := copy(t.ring[t.next:], p)
		t.next = (t.next + n) % tailMax
		p = p[n:]
	}
	t.watch()
}

// watch sees to it that the ring shrinks when the process has been quiet for long.
func (t *tail) watch() {
	if len(t.ring) <= tailKeep || t.stopped {
		return
	}
	t.written = time.Now()
	if t.timer == nil {
		t.timer = time.AfterFunc(tailQuiet, t.shrink)
	}
}

func (t *tail) shrink() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	if quiet := time.Since(t.written); quiet < tailQuiet {
		t.timer.Reset(tailQuiet - quiet)
		return
	}
	text := t.text()
	t.ring = append(make([]byte, 0, tailKeep), text[len(text)-tailKeep:]...)
	t.next, t.timer = 0, nil
}

// stop ends the shrinking: the process has ended and its report is wanted whole.
func (t *tail) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// String returns the bytes kept, oldest first.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text()
}

func (t *tail) text() string {
	return string(t.ring[t.next:]) + string(t.ring[:t.next])
}
