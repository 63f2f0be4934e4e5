package process

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

// Process is one child process, or one in-memory process that behaves like it, from its start until it has ended. It looks after itself:
// its standard error is read and its death is noticed and reaped without anybody waiting for it. All methods may be used by several
// goroutines at once.
type Process struct {
	child        child
	stream       Stream
	log          *slog.Logger
	drainTimeout time.Duration
	started      time.Time
	tail         *tail
	stderr       *output
	input        *input  // nil unless managed
	stdout       *output // nil unless managed

	exited chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	report  Report        // zero until it has been reaped
	final   bool          // the report's StderrTail is set
	killer  Killer        // moves to the report at the exit
	climbed chan struct{} // closed when the climb that Stop started is over; nil before
}

// child is what a Process asks of the operating system. There is one for real processes and one for those in memory.
type child interface {
	pid() int
	// wait returns when the process is dead. It leaves it unreaped, so the pid is still its own.
	wait()
	// isDead tells whether wait returns at once, without waiting.
	isDead() bool
	// reap kills what is left of the process's group, then reaps the process. It is called once, after wait.
	reap() status
	// signal sends the signals to the group, in order. Once reaped it sends nothing and returns ErrExited.
	signal(...Signal) error
	// closeStdin closes our end of the standard input.
	closeStdin()
	// release gives back what the process has had of the system beside itself. It is called once, after reap, and may take cgroupGrace.
	release() error
	// resident returns the bytes of memory that the process has, with its group. Once reaped it returns ErrExited. Where the system does not
	// tell, the error is errors.ErrUnsupported.
	resident() (int64, error)
	// aftermath begins to look for what the process has left behind outside of its group, and to kill it. The function that it returns waits
	// for the result. It is called once, after reap.
	aftermath() func() []Stray
}

// status is how a child ended, as Report has it.
type status struct {
	code   int
	signal Signal
	lost   bool
	oom    OOM
	maxRSS int64
	user   time.Duration
	system time.Duration
}

// noCode is the exit code of a process that has none.
const noCode = -1

// started is a child with our ends of its pipes, as the operating system hands it over.
type started struct {
	child  child
	stream Stream // of stdin and stdout

	stdin          io.WriteCloser
	stdout, stderr source

	attend func(*Process) // what the system leaves to us for the process; nil: nothing
}

// Start runs a program as a child process in a process group of its own. Standard input and output are the caller's, as [Process.Stream];
// standard error is read by the Process. On Linux the child receives TERM when this program dies. Signals that this program ignores are
// back to their default in the child.
//
// Start returns when the program has been loaded and has its limits, and blocks for that long. Its error is a *StartError. Real processes are
// supported on Linux and macOS; elsewhere the error is errors.ErrUnsupported.
func Start(c Command, o Options) (*Process, error) {
	s, err := start(c, o)
	if err != nil {
		return nil, err
	}
	return newProcess(s, o), nil
}

func newProcess(s started, o Options) *Process {
	p := makeProcess(s, o)
	p.stream = s.stream
	p.run()
	return p
}

// makeProcess returns a process that nobody looks after yet.
func makeProcess(s started, o Options) *Process {
	p := &Process{
		child:        s.child,
		log:          o.logger(s.child.pid()),
		drainTimeout: o.DrainTimeout,
		started:      time.Now(),
		tail:         &tail{},
		stderr:       newOutput(s.stderr),
		exited:       make(chan struct{}),
		ended:        make(chan struct{}),
	}
	if p.drainTimeout == 0 {
		p.drainTimeout = defaultDrainTimeout
	}
	p.logStderr()
	if s.attend != nil {
		s.attend(p)
	}
	return p
}

func (p *Process) run() {
	// Ends at the end of the standard error, or when live calls the reading off.
	go p.stderr.run()
	// Ends DrainTimeout after the process's death at the latest, or with the last function of ManagedOptions.
	go p.live()
}

// isManaged tells whether all three streams are ours.
func (p *Process) isManaged() bool { return p.input != nil }

// PID returns the process's id. That of an in-memory process is one that no real process has.
func (p *Process) PID() int { return p.child.pid() }

// Stream returns the process's standard input and output as one stream, always the same. It belongs to the caller, who closes it. That of a
// Managed is nil.
func (p *Process) Stream() Stream { return p.stream }

// Exited is closed when the process is dead, what was left of its group has been killed, and it has been reaped. Its last output may still
// be waiting in the Stream, whose end comes late or never if somebody else holds it open.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Dead says whether the process is dead, which Exited tells a moment later: who has given up waiting for Exited sees whether that is only for want of
// processor time. It does not block.
func (p *Process) Dead() bool { return p.child.isDead() }

// Drained is closed when the process's standard error has been read to its end, which is usually at its exit, or given up DrainTimeout after
// that. From then on StderrTail is complete.
func (p *Process) Drained() <-chan struct{} { return p.stderr.over() }

// Ended is closed when the process has exited, its standard error has been read to the end or DrainTimeout is over, and a search for what it
// has left behind is over, which takes some milliseconds, 2 s after the exit at most. Then the Report is complete. For a Managed that goes for
// standard output too, and the functions of its ManagedOptions have returned and will not be called again. A control group of its own that the kernel cannot
// empty takes up to 2 s more.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// RSS returns the bytes of memory that the process and its group have at present: resident, so without what is swapped out. Pages that several of
// them share count for each. It takes some microseconds; who else is in the group is found out at most four times a second. After the exit
// it returns ErrExited. Where /proc is missing, or is that of another PID namespace, the error is errors.ErrUnsupported. An in-memory process has
// what [Memory.SetRSS] said, before that errors.ErrUnsupported.
func (p *Process) RSS() (int64, error) { return p.child.resident() }

// Report says how the process ended. It is zero before Exited, and its StderrTail is complete after Ended.
func (p *Process) Report() Report {
	if !isClosed(p.exited) {
		return Report{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.report
	if !p.final {
		r.StderrTail = p.tail.String()
	}
	return r
}

// StderrTail returns the last that the process has written to its standard error so far, at most 64 KiB. While a process is quiet for a
// minute, all but the last 4 KiB of it is given up.
func (p *Process) StderrTail() string { return p.tail.String() }

// Do does one step now, without waiting for what it leads to; that of CloseStdin for a Managed is its own CloseStdin. After the exit it
// returns ErrExited and sends nothing. Terminate and Kill give KillerAsked as the reason unless Blame has given one.
func (p *Process) Do(s Step) error {
	switch s {
	case CloseStdin:
		if isClosed(p.exited) {
			return ErrExited
		}
		p.closeStdin()
		return nil
	case Terminate:
		return p.end(TERM, signalCont)
	case Kill:
		return p.end(KILL)
	default:
		if isClosed(p.exited) {
			return ErrExited
		}
		return nil
	}
}

// Signal sends a signal to the process group. After the exit it returns ErrExited and sends nothing. It does not count as ending the
// process on purpose: who means that calls Blame first, or uses Do.
func (p *Process) Signal(s Signal) error {
	if s <= 0 {
		return fmt.Errorf("send signal %d: %w", int(s), syscall.EINVAL)
	}
	return p.child.signal(s)
}

func (p *Process) closeStdin() {
	if p.isManaged() {
		p.input.refuse(os.ErrClosed)
	} else {
		p.child.closeStdin()
	}
}

func (p *Process) end(signals ...Signal) error {
	p.Blame(KillerAsked)
	return p.child.signal(signals...)
}

// Blame records why we are about to end the process. The first reason given stays. After the exit it does nothing.
func (p *Process) Blame(k Killer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killer == "" {
		p.killer = k
	}
}

// live follows the process to its end.
func (p *Process) live() {
	p.child.wait()
	p.finish(p.child.reap(), time.Since(p.started))
	if p.isManaged() {
		p.input.refuse(ErrExited)
	}
	close(p.exited)

	// Whoever it finds may be the one who holds the pipes.
	strays := p.child.aftermath()
	p.drain()
	found := strays()
	if err := p.child.release(); err != nil {
		p.log.Warn("left behind", slog.Any("err", err))
	}
	held := p.settle()

	p.mu.Lock()
	p.report.Held = held
	p.report.Strays = found
	p.report.StderrTail = p.tail.String()
	p.final = true
	p.mu.Unlock()
	close(p.ended)
}

func (p *Process) finish(s status, uptime time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.oom == OOMKnown && p.killer == "" {
		p.killer = KillerMemory // by the limit that we have set
	}
	p.report = Report{
		PID:    p.child.pid(),
		Code:   s.code,
		Signal: s.signal,
		Killer: p.killer,
		OOM:    s.oom,
		Uptime: uptime,
		MaxRSS: s.maxRSS,
		User:   s.user,
		System: s.system,
		Lost:   s.lost,
	}
}
