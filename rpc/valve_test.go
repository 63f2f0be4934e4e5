package rpc_test

import (
	"sync"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// meter looks at the frames that pass one direction of a stream.
type meter struct {
	mu   sync.Mutex
	in   *framing.Buffer
	seen func(framing.Header) // under mu
}

func newMeter(seen func(framing.Header)) *meter {
	return &meter{in: framing.NewBuffer(framing.MaxFrame), seen: seen}
}

func (m *meter) pass(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(p)
}

// try has p written without blocking; who looks at what has passed waits for that.
func (m *meter) try(p []byte, write func([]byte) (int, error)) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := write(p)
	m.note(p[:n])
	return n, err
}

func (m *meter) note(p []byte) {
	for len(p) > 0 {
		n := copy(m.in.Space(), p)
		m.in.Filled(n)
		p = p[n:]
		for h, _, ok, err := m.in.Next(); ok && err == nil; h, _, ok, err = m.in.Next() {
			m.seen(h)
		}
	}
}

// valve is a worker's end that can be kept from reading, and that counts its calls and their terminal frames.
type valve struct {
	tryStream
	in, out *meter
	begun   map[uint64]bool // by id; guarded by in
	ended   map[uint64]int  // by id; guarded by out

	mu   sync.Mutex
	shut *gateway // nil: it reads
}

// gateway is a time in which a worker does not read.
type gateway struct {
	once          sync.Once
	reached, over chan struct{}
}

func newValve() *valve {
	v := &valve{begun: map[uint64]bool{}, ended: map[uint64]int{}}
	v.in = newMeter(func(h framing.Header) {
		if h.Type == call {
			v.begun[h.ID] = true
		}
	})
	v.out = newMeter(func(h framing.Header) {
		if (h.Type == reply || h.Type == failed) && h.Flags&framing.More == 0 {
			v.ended[h.ID]++
		}
	})
	return v
}

// close keeps the worker from reading. It returns what is closed when the worker comes to read and cannot.
func (v *valve) close() (reached <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = &gateway{reached: make(chan struct{}), over: make(chan struct{})}
	return v.shut.reached
}

func (v *valve) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut != nil {
		close(v.shut.over)
		v.shut = nil
	}
}

func (v *valve) Read(p []byte) (int, error) {
	v.mu.Lock()
	shut := v.shut
	v.mu.Unlock()
	if shut != nil {
		shut.once.Do(func() { close(shut.reached) })
		<-shut.over
	}
	n, err := v.tryStream.Read(p)
	v.in.pass(p[:n])
	return n, err
}

func (v *valve) Write(p []byte) (int, error) {
	v.out.pass(p) // before: the host may be faster than what comes after
	return v.tryStream.Write(p)
}

func (v *valve) TryWrite(p []byte) (int, error) {
	return v.out.try(p, v.tryStream.TryWrite)
}

// blocking is a stream that never has room at once: a goroutine writes.
type blocking struct{ stream }

func (blocking) TryWrite([]byte) (int, error) { return 0, rpc.ErrWouldBlock }

// counter is a host's end that counts the calls that have been written.
type counter struct {
	fullStream
	out   *meter
	calls int // guarded by out
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.fullStream.Write(p)
	c.out.pass(p[:n])
	return n, err
}

func (c *counter) TryWrite(p []byte) (int, error) {
	return c.out.try(p, c.fullStream.TryWrite)
}

func (c *counter) written() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.calls
}
