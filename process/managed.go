package process

import (
	"context"
	"io"
	"os"
)

// Managed is a process whose three standard streams are looked after: what it is to read is queued and delivered, what it writes is read and
// handed to functions. Its Stream is nil.
//
// All methods may be used by several goroutines at once, and by the functions of ManagedOptions; but those must not wait for Ended, nor for
// Stop, which wait for them.
type Managed struct {
	*Process
	gate gate // shut while reading is paused
}

// ManagedOptions says how a process with managed streams is looked after. The zero ManagedOptions is useful.
type ManagedOptions struct {
	Options

	// Stdout and Stderr receive what the process writes, in order and in pieces of any length. Each is called by one goroutine at a time, but
	// both may run at once. data is valid during the call only. A function that blocks holds up the reading of its stream, and thereby the
	// process once 64 KiB wait in the pipe, but nothing else. If nil, the output is read and dropped. Standard error also goes to the log and
	// to StderrTail, in any case.
	Stdout, Stderr func(data []byte)

	// Lost, if not nil, is called once for each of the descriptors 0, 1 and 2, when our end of that pipe has been closed; for 1 and 2 after
	// the last call of their function. err is nil at the end of an output, and when we closed the pipe with nothing undelivered. Otherwise it
	// is the error that broke the pipe: for standard input syscall.EPIPE if its reader went away, os.ErrClosed if it was closed before
	// all was delivered; for the outputs ErrHeld if somebody held it open until DrainTimeout was over. Calls for different descriptors may run
	// at once.
	//
	// A reader that goes away is noticed by the next write to it, or by the exit.
	Lost func(fd int, err error)

	// HighWater is how many bytes may be queued for standard input before Write waits; exactly that many may. A Write that begins below takes
	// all of its data, longer ones that much at a time, so there are never more than twice as many. If zero or negative, it is 64 KiB.
	HighWater int
}

// StartManaged is Start with managed streams. Its error is a *StartError.
func StartManaged(c Command, o ManagedOptions) (*Managed, error) {
	s, err := start(c, o.Options)
	if err != nil {
		return nil, err
	}
	return newManaged(s, o), nil
}

// ManageFunc is StartFunc with managed streams.
func ManageFunc(f Func, o ManagedOptions) *Managed { return newManaged(startMemory(f), o) }

func newManaged(s started, o ManagedOptions) *Managed {
	m := &Managed{Process: makeProcess(s, o.Options)}
	lost := func(fd int) func(error) {
		return func(err error) {
			if o.Lost != nil {
				o.Lost(fd, err)
			}
		}
	}
	m.input = newInput(s.stdin, o.HighWater, lost(0))
	m.stdout = newOutput(s.stdout)
	m.stdout.pass, m.stdout.gate, m.stdout.lost = o.Stdout, &m.gate, lost(1)
	m.stderr.pass, m.stderr.gate, m.stderr.lost = o.Stderr, &m.gate, lost(2)
	// Ends at the end of the standard output, or when it is closed or called off.
	go m.stdout.run()
	m.run()
	return m
}

// Write queues p for the process's standard input, and returns how much of it has been queued. It waits while more than HighWater is queued.
// When ctx ends it returns the cause; what was queued by then is delivered. When the standard input takes nothing more, the error is the first
// reason for that: os.ErrClosed after CloseStdin, syscall.EPIPE when its reader went away, ErrExited. The bytes of one Write that succeeds
// stay together.
func (m *Managed) Write(ctx context.Context, p []byte) (int, error) { return m.input.write(ctx, p) }

// Input returns the standard input as an io.Writer, whose Write is that of m with ctx.
func (m *Managed) Input(ctx context.Context) io.Writer { return inputWriter{ctx: ctx, input: m.input} }

type inputWriter struct {
	ctx   context.Context
	input *input
}

func (w inputWriter) Write(p []byte) (int, error) { return w.input.write(w.ctx, p) }

// WriteTo writes to the process's descriptor fd. That is Write for 0, and a *DescriptorError for all others. Of a pipe among the ExtraFiles of
// its Command the caller has the other end.
func (m *Managed) WriteTo(ctx context.Context, fd int, p []byte) (int, error) {
	if fd != 0 {
		return 0, &DescriptorError{FD: fd}
	}
	return m.Write(ctx, p)
}

// Attach makes src a source of standard input: on a goroutine of its own it is read whenever no more than HighWater is queued, until its end.
// Then another may be attached; the standard input stays open. There is one source at a time; the error is ErrAttached if there is one already.
// Beside it, Write goes on working.
//
// When the standard input is closed, or broken, or the process has exited, src is told to stop: its Close is called if it has one, also while
// a Read is under way; without a Close it is left alone after the Read under way. All that happens at once if it is so already, and Attach
// returns the error that Write would. An error of src, other than io.EOF, is logged and ends it like its end.
//
// To close the standard input after a source, use io.Copy with Input, then CloseStdin.
func (m *Managed) Attach(src io.Reader) error { return m.input.attach(src, m.log) }

// CloseStdin delivers what is queued, then closes the standard input. It does not wait for that. The process's own slowness is not bounded here:
// the CloseStdin rung of a ladder closes at the end of its grace, and the exit of the process ends it within DrainTimeout.
func (m *Managed) CloseStdin() error {
	m.input.refuse(os.ErrClosed)
	return nil
}

// CloseStdout closes our end of the standard output at once. The process gets EPIPE when it writes there. No call of the function begins
// after it; one may be under way.
func (m *Managed) CloseStdout() error { return m.stdout.close() }

// CloseStderr is to the standard error what CloseStdout is to the standard output.
func (m *Managed) CloseStderr() error { return m.stderr.close() }

// CloseAll closes all three streams, the standard input after what is queued has been delivered.
func (m *Managed) CloseAll() error {
	m.input.refuse(os.ErrClosed)
	err := m.stdout.close()
	if errErr := m.stderr.close(); err == nil {
		err = errErr
	}
	return err
}

// Pause stops the reading of standard output and standard error, and so the process once its pipes are full. Nothing else is paused: what is
// queued is delivered, and an exit is noticed. A call of an output function may still be under way. What a process leaves in its pipes when it
// exits during a pause is passed on after Resume, or when DrainTimeout is over.
func (m *Managed) Pause() { m.gate.close() }

// Resume ends a Pause.
func (m *Managed) Resume() { m.gate.open() }
