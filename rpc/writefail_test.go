package rpc_test

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// brittle is a host's end whose writing breaks after so many more bytes, which the worker gets.
type brittle struct {
	stream
	mu   sync.Mutex
	left int // negative: it does not break
}

func (b *brittle) breakAfter(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = n
}

// pass has as much of p written as may be.
func (b *brittle) pass(p []byte, write func([]byte) (int, error)) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < 0 {
		return write(p)
	}
	if some := min(len(p), b.left); some > 0 {
		n, err = write(p[:some])
	}
	if b.left -= n; err == nil && n < len(p) {
		err = syscall.EPIPE
	}
	return n, err
}

func (b *brittle) Write(p []byte) (int, error) { return b.pass(p, b.stream.Write) }

// brittleFull is one with all that a stream can have.
type brittleFull struct {
	fullStream
	*brittle
	late bool // where half of what may be written has been, the rest would block: it breaks in the hands of a goroutine
}

func (b *brittleFull) Write(p []byte) (int, error) { return b.brittle.Write(p) }
func (b *brittleFull) Read(p []byte) (int, error)  { return b.fullStream.Read(p) }
func (b *brittleFull) CloseWrite() error           { return b.fullStream.CloseWrite() }
func (b *brittleFull) Close() error                { return b.fullStream.Close() }

func (b *brittleFull) TryWrite(p []byte) (int, error) {
	left := b.rest()
	if !b.late || left < 0 {
		return b.pass(p, b.fullStream.TryWrite)
	}
	some := min(len(p), (left+1)/2)
	n, err := b.pass(p[:some], b.fullStream.TryWrite)
	if err == nil && n < len(p) {
		err = rpc.ErrWouldBlock
	}
	return n, err
}

// brittleEnds returns ends of which the host's breaks.
func brittleEnds(ends makeEnds, late bool) (*brittle, makeEnds) {
	b := &brittle{left: -1}
	return b, func(t testing.TB) (stream, stream) {
		hostEnd, workerEnd := ends(t)
		b.stream = hostEnd
		if full, ok := hostEnd.(fullStream); ok {
			return &brittleFull{fullStream: full, brittle: b, late: late}, workerEnd
		}
		return b, workerEnd
	}
}

// breaking is one cell of the table: a call is written, and the writing breaks after n bytes.
type breaking struct {
	hold, late bool
	args       any
	size       int // of all the call's frames
}

// written is how many bytes a call of "m" takes where frames are the smallest.
func written(t testing.TB, args any) int {
	host, w, _ := connectWire(t, ringEnds, 1, rpc.HostOptions{})
	done := background(t.Context(), host, "m", args)
	size := w.expect(call).Size
	require.NoError(t, host.Close())
	<-done
	if size <= framing.MinFrame-framing.TotalSize {
		return framing.HeaderSize + size
	}
	size += framing.TotalSize
	return size + (size+framing.MinFrame-1)/framing.MinFrame*framing.HeaderSize
}

// The host's writing breaks at any byte of a call: as long as the last one has not been accepted the call was certainly not executed, and
// after that nobody knows.
func TestP15_WriteFailsAtEveryByteOfACall(t *testing.T) {
	for name, args := range map[string]any{
		"one frame":    farewell,
		"three frames": make([]byte, 2*framing.MinFrame+10),
	} {
		b := breaking{args: args, size: written(t, args)}
		for _, hold := range []bool{false, true} {
			for _, late := range []bool{false, true} {
				b := b
				b.hold, b.late = hold, late
				t.Run(fmt.Sprintf("%s, hold %v, late %v", name, hold, late), func(t *testing.T) {
					hostBubbles(t, b.atEveryByte)
					if pipes := modes["pipes"]; pipes != nil && (b.size < framing.MinFrame || !hold && !late) { // they are slower
						t.Run("pipes", func(t *testing.T) { b.atEveryByte(t, pipes) })
					}
				})
			}
		}
	}
}

func (b *breaking) atEveryByte(t *testing.T, ends makeEnds) {
	if host, _ := ends(t); b.late && !canTryRead(host) {
		return // a goroutine writes in any case
	}
	for n := 0; n <= b.size; n++ {
		b.at(t, ends, n)
		if t.Failed() {
			t.Fatalf("at byte %d of %d", n, b.size)
		}
	}
}

func (b *breaking) at(t *testing.T, ends makeEnds, n int) {
	breaks, ends := brittleEnds(ends, b.late)
	host, w, freed := connectBrittle(t, ends, b.hold)
	seen := make(chan []string, 1)
	go func() { seen <- w.methods() }() // ends with the stream

	breaks.breakAfter(n)
	all := []<-chan result{background(t.Context(), host, "m", b.args)}
	want := rpc.NotSent
	if n == b.size {
		want = rpc.Unknown
		until(t, func() bool { return breaks.rest() == 0 })
		all = append(all, background(t.Context(), host, "next", nil)) // its first byte breaks
	}
	<-host.Done()
	require.ErrorIs(t, host.Err(), syscall.EPIPE)
	cause := host.Err()
	if b.hold {
		cause = errGone
		require.NoError(t, w.s.CloseWrite()) // or Drain waits
		host.Drain(errGone)
	}
	failedWith(t, all[:1], want, cause)
	failedWith(t, all[1:], rpc.NotSent, cause)
	require.NoError(t, host.Close())
	got := <-seen   // all that had been written: its end comes behind it
	_ = w.s.Close() // half of it is closed already
	if want == rpc.NotSent {
		require.Empty(t, got, "the worker got what was not sent")
	} else {
		require.Equal(t, []string{"m"}, got)
	}
	for range all {
		<-freed
	}
	require.Empty(t, freed)
}

// until waits for what no channel tells.
func until(t testing.TB, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		runtime.Gosched()
	}
	require.Eventually(t, holds, 10*time.Second, 100*time.Microsecond)
}

// rest is how many bytes may still be written; negative: any number.
func (b *brittle) rest() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left
}

// connectBrittle is connectWire for a worker that takes the smallest frames only.
func connectBrittle(t testing.TB, ends makeEnds, hold bool) (*counted, *wire, chan struct{}) {
	hostEnd, workerEnd := ends(t)
	w, freed := newWire(t, workerEnd), make(chan struct{}, 1000)
	var wg sync.WaitGroup
	wg.Go(func() { w.greet(map[string]any{"inflight": 8, "max_frame": framing.MinFrame}) })
	host, err := rpc.Connect(t.Context(), hostEnd, rpc.HostOptions{HoldLost: hold})
	require.NoError(t, err)
	wg.Wait()
	return &counted{host, func() { freed <- struct{}{} }}, w, freed
}

// methods reads to the end and returns the methods of the calls that came whole.
func (w *wire) methods() (all []string) {
	for m, err := w.read(); err == nil; m, err = w.read() {
		if m.Type == call {
			all = append(all, method(w.t, m))
		}
	}
	return all
}

// mailbox is a host's end that takes letters for a dead worker: what is written stays in it. Of the letters so many bytes find room, the rest
// waits until the worker's death is known.
type mailbox struct {
	stream
	room, read int // bytes that find room, and that the worker has read
	gone       bool
	err        error
	known      chan struct{} // closed with the death, or with the end of writing

	mu    sync.Mutex
	armed bool
	taken int
	full  bool // a goroutine waits to write the rest
	once  sync.Once
}

func (m *mailbox) accept(p []byte) (n int, armed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.armed {
		n = min(len(p), m.room-m.taken)
		m.taken += n
	}
	return n, m.armed
}

func (m *mailbox) Write(p []byte) (int, error) {
	n, armed := m.accept(p)
	switch {
	case !armed:
		return m.stream.Write(p)
	case n == len(p):
		return n, nil
	}
	m.mu.Lock()
	m.full = true
	m.mu.Unlock()
	<-m.known
	return n, syscall.EPIPE
}

func (m *mailbox) reveal() { m.once.Do(func() { close(m.known) }) }

func (m *mailbox) CloseWrite() error {
	m.reveal()
	return m.stream.CloseWrite()
}

func (m *mailbox) Close() error {
	m.reveal()
	return m.stream.Close()
}

func (m *mailbox) Unread() (int, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taken - m.read, m.gone, m.err
}

// holds says whether all up to there is either in the mailbox or queued in front of it.
func (m *mailbox) holds(end int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taken >= end || m.full
}

func (m *mailbox) arm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.armed = true
}

// fullMailbox is one with all that a stream can have.
type fullMailbox struct {
	fullStream
	*mailbox
}

func (m *fullMailbox) Write(p []byte) (int, error) { return m.mailbox.Write(p) }
func (m *fullMailbox) Read(p []byte) (int, error)  { return m.fullStream.Read(p) }
func (m *fullMailbox) CloseWrite() error           { return m.mailbox.CloseWrite() }
func (m *fullMailbox) Close() error                { return m.mailbox.Close() }

func (m *fullMailbox) TryWrite(p []byte) (int, error) {
	n, armed := m.accept(p)
	switch {
	case !armed:
		return m.fullStream.TryWrite(p)
	case n < len(p):
		return n, rpc.ErrWouldBlock
	}
	return n, nil
}

// letters are calls of different sizes; the third is cut into two frames.
func letters() []any { return []any{1, farewell, make([]byte, framing.MinFrame+10), nil, 5} }

// offsets returns where the frames of each letter end.
func offsets(t testing.TB) (ends []int) {
	at := 0
	for _, args := range letters() {
		at += written(t, args)
		ends = append(ends, at)
	}
	return ends
}

// A dead worker has read so much of what was written to it, and the rest lies in its pipe: a call of which the last byte lies there, or was never
// written, has certainly not been executed. Where somebody may still read, or nobody can tell, what is written may be executed.
func TestP15_UnreadBytesAreNotSent(t *testing.T) {
	ends := offsets(t)
	size := ends[len(ends)-1]
	interesting := func(n int) bool { // the large call's inside is as good as a few of its bytes
		return n <= ends[1]+20 || n >= ends[2]-20 || n%40 == 0
	}
	var cells []mailbox
	for n := range size + 1 {
		if !interesting(n) {
			continue
		}
		cells = append(cells,
			mailbox{room: size, read: n, gone: true},
			mailbox{room: n, read: n, gone: true}, mailbox{room: n, read: n / 2, gone: true}, mailbox{room: n, gone: true},
			mailbox{room: n, read: n / 2}, mailbox{room: n, gone: true, err: os.ErrClosed})
	}
	t.Logf("%d cells, calls end at %v", len(cells), ends)
	test := func(t *testing.T, makeEnds makeEnds) {
		for i := range cells {
			c := &cells[i]
			m := &mailbox{room: c.room, read: c.read, gone: c.gone, err: c.err}
			m.deliver(t, makeEnds, ends)
			if t.Failed() {
				t.Fatalf("room for %d bytes, %d read, gone %v, %v", c.room, c.read, c.gone, c.err)
			}
		}
	}
	hostBubbles(t, test)
	if pipes := modes["pipes"]; pipes != nil {
		t.Run("pipes", func(t *testing.T) { test(t, pipes) })
	}
}

// deliver posts the letters, lets the worker's death be known and checks what is said of each call.
func (m *mailbox) deliver(t *testing.T, ends makeEnds, offsets []int) {
	m.known = make(chan struct{})
	host, w, freed := connectBrittle(t, func(t testing.TB) (stream, stream) {
		hostEnd, workerEnd := ends(t)
		m.stream = hostEnd
		if full, ok := hostEnd.(fullStream); ok {
			return &fullMailbox{full, m}, workerEnd
		}
		return m, workerEnd
	}, true)
	m.arm()
	var calls []<-chan result
	for i, args := range letters() {
		calls = append(calls, background(t.Context(), host, "m", args))
		until(t, func() bool { return len(host.InFlight()) == i+1 && m.holds(offsets[i]) })
	}
	accepted := min(m.room, offsets[len(offsets)-1])
	require.NoError(t, w.s.CloseWrite()) // or Drain waits
	executable := accepted
	if m.gone && m.err == nil {
		m.reveal()
		executable = m.read
	}
	host.Drain(errGone)
	for i, done := range calls {
		d, cause := delivery(t, (<-done).err)
		want := rpc.Unknown
		if offsets[i] > executable {
			want = rpc.NotSent
		}
		require.Equal(t, want, d, "call %d, which ends at %d", i, offsets[i])
		require.Equal(t, errGone, cause)
	}
	require.NoError(t, host.Close())
	_ = w.s.Close() // half of it is closed already
	for range calls {
		<-freed
	}
	require.Empty(t, freed)
}
